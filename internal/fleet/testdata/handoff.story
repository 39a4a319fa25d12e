# A shard goes to a worker that joined, without a gap: its owner reads on until
# the heir has had the time to notice.
fleet
shards s1 s2
start a
run 1s
start b
slow a
run 1s
----
   0.01s  a is joining
   0.07s  a is running
   0.09s  a: create s1: of a, possession 1
   0.09s  a: create s2: of a, possession 2
   0.09s  a starts s1, free, possession 1
   0.09s  a starts s2, free, possession 2
   1.01s  b is joining
   1.06s  b is running
   1.28s  a: announce s1: of a, heir b, possession 1
   1.67s  a drains s1 to balance

# The function is given the time that it needs.
run 3s
close a s1 drained
run 1s
rows
----
   5.00s  a: give s1: of b, possession 2
   5.04s  b: take s1: of b, possession 3
   5.05s  b starts s1, handoff from a, possession 3
  worker a is running
  worker b is running
  lease s1: of b, possession 3
  lease s2: of a, possession 2
