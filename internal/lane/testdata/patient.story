# A patient machine holds what a refusal of every record stops, and tries again.
new patient requests=2
learn 0:0-15 1:16-31
accept 1 20
poll
fail 1 fatal
fail-queued
poll
poll after 100ms
answer 2 stored
----
0 opened
1 opened
poll is due
request 1:
  to 0, laned: 1@1
  to 1, laned: 2@20
wakes after 73.151394ms
request 2:
  to 0, laned: 1@1
  to 1, laned: 2@20
1@1 is stored in 0 at 1/0
2@20 is stored in 1 at 2/0

# Late records stay until they are ended, and are told of once a second. One that
# has left in between ends with its answer.
accept 2,deadline=50ms
poll
accept 2,deadline=50ms 3
fail 3 throttled
poll after 60ms
late
late
poll after 50ms
end 3 4
late
poll
answer 4 stored
poll after 10ms
----
poll is due
request 3:
  to 0, laned: 3@2
poll is due
wakes after 0s
late: 3@2 4@2
late: 
request 4:
  to 0, laned: 3@2
wakes after 950ms
4@2 is not stored after 0 attempts: buried
late: 
3@2 is stored in 0 at 3/0
request 5:
  to 0, laned: 5@3

# What is frozen ends too; the rest of its entry goes on.
accept 4,deadline=10ms 5
answer 5 stored
poll
fail 6 unknown
poll after 15ms
late
end 6
poll after 1s
----
poll is due
5@3 is stored in 0 at 4/0
request 6:
  to 0, laned: 6@4 7@5
wakes after 0s
late: 6@4
6@4 is unknown after 1 attempts: buried
request 7:
  to 0, laned: 7@5

# Behind one that ends, with its key, nothing goes on if so asked.
new patient failkey requests=1
learn 0:0-31
accept 9
poll
accept 1,deadline=20ms 1 2
poll after 30ms
late
end 2
answer 1 stored
poll
----
0 opened
poll is due
request 1:
  to 0, laned: 1@9
poll is due
wakes after 0s
late: 2@1
2@1 is not stored after 0 attempts: buried
3@1 is not stored after 0 attempts: an earlier record of the same key failed
1@9 is stored in 0 at 1/0
request 2:
  to 0, laned: 4@2
