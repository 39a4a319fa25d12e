# Two shards were merged. 1@3 is under way in one, 2@20 in the other; 3 to 6 are
# queued, by turns.
new
learn 0:0-15 1:16-31
accept 3 20
poll
----
0 opened
1 opened
poll is due
request 1:
  to 0, laned: 1@3
  to 1, laned: 2@20

accept 4 21 5 22
answer 1 not-stored unknown
learn 0:0-15! 1:16-31! 2:0-31<0,1
poll
----
0 gave way
1 gave way
2 opened
request 2:
  to 2, laned: 1@3 2@20 3@4 4@21 5@5 6@22

# Remainders and queues move by counter, as they were accepted.
answer 2 stored
----
1@3 is stored in 2 at 1/0
2@20 is stored in 2 at 1/1
3@4 is stored in 2 at 1/2
4@21 is stored in 2 at 1/3
5@5 is stored in 2 at 1/4
6@22 is stored in 2 at 1/5
