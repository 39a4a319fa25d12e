# FailKey without aggregation: all that waits behind a failed record of its hash
# fails with it, here when the first of them is refused. Others go on.
new raw failkey
learn 0:0-31
accept 1 1 2 1
poll
answer 1 refused stored
poll
----
0 opened
poll is due
request 1:
  to 0, raw: 1@1
  to 0, raw: 3@2
1@1 is not stored after 1 attempts: refused
2@1 is not stored after 0 attempts: an earlier record of the same key failed
4@1 is not stored after 0 attempts: an earlier record of the same key failed
3@2 is stored in 0 at 1/0

accept 1 1,deadline=50ms 1
poll
poll after 60ms
----
poll is due
request 2:
  to 0, raw: 5@1
wakes after 50ms
6@1 is not stored after 0 attempts: deadline passed
7@1 is not stored after 0 attempts: an earlier record of the same key failed

answer 2 stored
poll
----
5@1 is stored in 0 at 2/0
