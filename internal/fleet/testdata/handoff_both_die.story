# Both die with the lease announced: a third has to find out about both.
fleet lease=2s
shards s1 s2 s3
start a c
run 3s
start b
run 600ms
rows
----
   0.01s  a is joining
   0.01s  c is joining
   0.07s  a is running
   0.07s  c is running
   0.09s  a: create s1: of a, possession 1
   0.09s  a: create s2: of a, possession 2
   0.09s  c: create s3: of c, possession 3
   0.09s  a starts s1, free, possession 1
   0.09s  a starts s2, free, possession 2
   0.09s  c starts s3, free, possession 3
   3.02s  b is joining
   3.06s  b is running
   3.29s  a: announce s1: of a, heir b, possession 1
  worker a is running
  worker b is running
  worker c is running
  lease s1: of a, heir b, possession 1
  lease s2: of a, possession 2
  lease s3: of c, possession 3

crash a
crash b
run 6s
rows
----
   5.58s  c declares a dead
   5.58s  c declares b dead
   5.61s  c: take s1: of c, possession 2, 1 takeovers
   5.61s  c: take s2: of c, possession 3, 1 takeovers
   5.61s  c starts s1, dead from a, possession 2
   5.61s  c starts s2, dead from a, possession 3
  worker a is dead
  worker b is dead
  worker c is running
  lease s1: of c, possession 2, 1 takeovers
  lease s2: of c, possession 3, 1 takeovers
  lease s3: of c, possession 3

# Both die with the lease given and not taken.
fleet lease=2s
shards s1 s2 s3
start a
slow a
run 1s
start b
hold b take
run 1s
close a s1 drained
run 100ms
crash a
crash b
start c
run 6s
rows
----
   0.01s  a is joining
   0.07s  a is running
   0.09s  a: create s1: of a, possession 1
   0.09s  a: create s2: of a, possession 2
   0.09s  a: create s3: of a, possession 3
   0.09s  a starts s1, free, possession 1
   0.09s  a starts s2, free, possession 2
   0.09s  a starts s3, free, possession 3
   1.01s  b is joining
   1.06s  b is running
   1.28s  a: announce s1: of a, heir b, possession 1
   1.67s  a drains s1 to balance
   2.00s  a: give s1: of b, possession 2
   2.04s  b: its take of s1 has no answer yet
   2.12s  c is joining
   2.17s  c is running
   4.12s  c declares a dead
   4.12s  c declares b dead
   4.14s  c: take s1: of c, possession 3, 1 takeovers
   4.14s  c: take s2: of c, possession 3, 1 takeovers
   4.14s  c: take s3: of c, possession 4, 1 takeovers
   4.15s  c starts s1, dead from b, possession 3
   4.15s  c starts s2, dead from a, possession 3
   4.15s  c starts s3, dead from a, possession 4
  worker a is dead
  worker b is dead
  worker c is running
  lease s1: of c, possession 3, 1 takeovers
  lease s2: of c, possession 3, 1 takeovers
  lease s3: of c, possession 4, 1 takeovers
