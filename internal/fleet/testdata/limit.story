# Limits are kept, and what is over is left.
fleet
shards s1 s2 s3 s4 s5
start a b limit=2
run 5s
rows
----
   0.01s  a is joining
   0.01s  b is joining
   0.07s  a is running
   0.07s  b is running
   0.09s  a: create s3: of a, possession 1
   0.09s  a: create s4: of a, possession 2
   0.09s  b: create s1: of b, possession 3
   0.09s  b: create s2: of b, possession 4
   0.09s  a starts s3, free, possession 1
   0.09s  a starts s4, free, possession 2
   0.09s  b starts s1, free, possession 3
   0.09s  b starts s2, free, possession 4
  worker a is running
  worker b is running
  lease s1: of b, possession 3
  lease s2: of b, possession 4
  lease s3: of a, possession 1
  lease s4: of a, possession 2

# A worker without a limit takes the rest, and no more than its share.
start c
run 5s
rows
----
   5.01s  c is joining
   5.07s  c is running
   5.08s  c: create s5: of c, possession 5
   5.09s  c starts s5, free, possession 5
  worker a is running
  worker b is running
  worker c is running
  lease s1: of b, possession 3
  lease s2: of b, possession 4
  lease s3: of a, possession 1
  lease s4: of a, possession 2
  lease s5: of c, possession 5

# A worker with room for one is the heir of one that dies: it takes that lease and
# no other, as everybody leaves it that one.
fleet
shards s1 s2
start a
run 1s
crash a
start b limit=1
run 1s
heir s2 b
run 6s
start c
run 3s
rows
----
   0.01s  a is joining
   0.07s  a is running
   0.09s  a: create s1: of a, possession 1
   0.09s  a: create s2: of a, possession 2
   0.09s  a starts s1, free, possession 1
   0.09s  a starts s2, free, possession 2
   1.01s  b is joining
   1.06s  b is running
   5.03s  b declares a dead
   5.04s  b: take s2: of b, possession 3, 1 takeovers
   5.05s  b starts s2, dead from a, possession 3
   8.02s  c is joining
   8.06s  c is running
   8.09s  c: take s1: of c, possession 2, 1 takeovers
   8.09s  c starts s1, dead from a, possession 2
  worker a is dead
  worker b is running
  worker c is running
  lease s1: of c, possession 2, 1 takeovers
  lease s2: of b, possession 3, 1 takeovers
