# A shard that gave way does not come back, whatever an older listing says.
new
learn 0:0-31
learn 0:0-31! 1:0-15<0 2:16-31<0
learn 0:0-31
accept 3 20
poll
----
0 opened
0 gave way
1 opened
2 opened
poll is due
request 1:
  to 1, laned: 1@3
  to 2, laned: 2@20

# A split of which only one child is listed is not believed yet.
learn 0:0-31! 1:0-15<0! 2:16-31<0 3:0-7<1
accept 9
answer 1 stored
poll
----
1@3 is stored in 1 at 1/0
2@20 is stored in 2 at 2/0
request 2:
  to 1, laned: 3@9

learn 0:0-31! 1:0-15<0! 2:16-31<0 3:0-7<1 4:8-15<1
----
1 gave way
3 opened
4 opened

# Parked records end at their deadline, whatever is being waited for.
new
learn 0:0-15 1:16-31
accept 1,deadline=20ms
poll
answer 1 stored:9
poll
poll after 20ms
----
0 opened
1 opened
poll is due
request 1:
  to 0, laned: 1@1
wakes after 20ms
wakes after 229.654559ms
1@1 is unknown after 1 attempts: deadline passed
