# A backlog leaves under the identities that it was accepted with, by the numbers
# that it was given, and none shares an aggregate with those of another producer.
new
learn 0:0-31
accept 1,counter=7,producer=1 2,counter=9,producer=1 1,counter=10,producer=2 3,counter=40 4
poll
answer 1 stored
poll
answer 2 stored
poll
answer 3 stored
----
0 opened
poll is due
request 1:
  to 0, laned: 7@1 9@2
7@1 is stored in 0 at 1/0
9@2 is stored in 0 at 1/1
request 2:
  to 0, laned: 10@1
10@1 is stored in 0 at 2/0
request 3:
  to 0, laned: 40@3 41@4
40@3 is stored in 0 at 3/0
41@4 is stored in 0 at 3/1

# What comes back and is taken apart is merged by number, and cut at the same
# place.
accept 1,producer=1 20,producer=2
poll
learn 0:0-31! 1:0-15<0 2:16-31<0
fail 4 throttled
poll
----
poll is due
request 4:
  to 0, laned: 42@1
0 gave way
1 opened
2 opened
request 5:
  to 1, laned: 42@1
  to 2, laned: 43@20
