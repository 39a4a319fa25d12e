# A split is learnt while an aggregate of the parent has no answer yet. The
# children wait for it, even for records that have nothing to do with it: what
# is under way may have to come back, before all that is in their queues.
new
learn 0:0-31
accept 3 20
poll
----
0 opened
poll is due
request 1:
  to 0, laned: 1@3 2@20

accept 4 21
learn 0:0-31! 1:0-15<0 2:16-31<0
poll
----
0 gave way
1 opened
2 opened

# A second split leaves the wait to its children; other lanes are free.
learn 1:0-15<0! 2:16-31<0 3:0-7<1 4:8-15<1
accept 9
poll
----
1 gave way
3 opened
4 opened

fail 1 unknown
poll
----
request 2:
  to 3, laned: 1@3 3@4
  to 4, laned: 5@9
  to 2, laned: 2@20 4@21
