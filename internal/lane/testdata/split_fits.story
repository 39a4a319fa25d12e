# As in split, but all records fit the shard that took them: they are stored.
new
learn 0:0-31
accept 3 4
poll
answer 1 stored:1
----
0 opened
poll is due
request 1:
  to 0, laned: 1@3 2@4

poll
learn 0:0-31! 1:0-15<0 2:16-31<0
----
wakes after 249.654559ms
0 gave way
1 opened
2 opened
1@3 is stored in 1 at 1/0
2@4 is stored in 1 at 1/1
