# The child of a merge waits for both parents.
new
learn 0:0-15 1:16-31
accept 3
poll
accept 20
poll
----
0 opened
1 opened
poll is due
request 1:
  to 0, laned: 1@3
poll is due
request 2:
  to 1, laned: 2@20

accept 4 21
learn 0:0-15! 1:16-31! 2:0-31<0,1
fail 1 unknown
poll
----
0 gave way
1 gave way
2 opened

# The other parent's answer comes, and the barrier falls. What is stored is
# stored: 2 does not move.
answer 2 stored
poll
----
2@20 is stored in 1 at 1/0
request 3:
  to 2, laned: 1@3 3@4 4@21
