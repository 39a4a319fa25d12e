# The first worker of a group makes the leases of all shards and reads them.
fleet
shards s1 s2 s3 s4
start a
run 2s
----
   0.01s  a is joining
   0.07s  a is running
   0.09s  a: create s1: of a, possession 1
   0.09s  a: create s2: of a, possession 2
   0.09s  a: create s3: of a, possession 3
   0.09s  a: create s4: of a, possession 4
   0.09s  a starts s1, free, possession 1
   0.09s  a starts s2, free, possession 2
   0.09s  a starts s3, free, possession 3
   0.09s  a starts s4, free, possession 4

# A second one is given its half. They read on until it has had the time to
# notice, and are silent only for as long as a write and a read take.
start b
run 3s
rows
----
   2.02s  b is joining
   2.06s  b is running
   2.29s  a: announce s1: of a, heir b, possession 1
   2.29s  a: announce s2: of a, heir b, possession 2
   2.67s  a drains s1 to balance
   2.67s  a drains s2 to balance
   2.67s  a: give s1: of b, possession 2
   2.67s  a: give s2: of b, possession 3
   2.71s  b: take s1: of b, possession 3
   2.71s  b: take s2: of b, possession 4
   2.71s  b starts s1, handoff from a, possession 3
   2.71s  b starts s2, handoff from a, possession 4
  worker a is running
  worker b is running
  lease s1: of b, possession 3
  lease s2: of b, possession 4
  lease s3: of a, possession 3
  lease s4: of a, possession 4

# It goes: what it has is given back at once, and it waits for nobody.
stop b
run 2s
rows
----
   5.00s  b drains s1 to stop
   5.00s  b drains s2 to stop
   5.00s  b is stopping
   5.00s  b: give s1: of a, possession 4
   5.00s  b: give s2: of a, possession 5
   5.05s  b is dead
   5.06s  b is over: <nil>
   5.14s  a: take s1: of a, possession 5
   5.14s  a: take s2: of a, possession 6
   5.15s  a starts s1, handoff from b, possession 5
   5.15s  a starts s2, handoff from b, possession 6
  worker a is running
  worker b is dead
  lease s1: of a, possession 5
  lease s2: of a, possession 6
  lease s3: of a, possession 3
  lease s4: of a, possession 4
