# Shard 0 was split in two while an aggregate was under way. The answer names
# one of the children, which the machine has not heard of: the entry is parked,
# the lane stays occupied, and the map is wanted.
new
learn 0:0-31
accept 3 20 4
poll
----
0 opened
poll is due
request 1:
  to 0, laned: 1@3 2@20 3@4

accept 5 21
answer 1 stored:1
poll
----
wakes after 249.654559ms

# Now it is: not all of the records belong to child 1, so readers drop some of
# it or all. They count as not delivered and go, under their old counters, to
# the children, each to its own, and before what came later.
learn 0:0-31! 1:0-15<0 2:16-31<0
poll
----
0 gave way
1 opened
2 opened
request 2:
  to 1, laned: 1@3 3@4 4@5
  to 2, laned: 2@20 5@21
wakes after 137.811887ms

answer 2 stored
poll
----
1@3 is stored in 1 at 2/0
3@4 is stored in 1 at 2/1
4@5 is stored in 1 at 2/2
2@20 is stored in 2 at 3/0
5@21 is stored in 2 at 3/1
wakes after 137.811887ms
