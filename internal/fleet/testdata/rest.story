# A lease whose function gave it back is left to others.
fleet
shards s1 s2
start a b
run 5s
close a s2 back
run 2s
rows
----
   0.01s  a is joining
   0.01s  b is joining
   0.07s  a is running
   0.07s  b is running
   0.09s  a: create s2: of a, possession 1
   0.09s  b: create s1: of b, possession 2
   0.09s  a starts s2, free, possession 1
   0.09s  b starts s1, free, possession 2
   5.00s  a: give s2: free, possession 2
   6.05s  b: take s2: of b, possession 3
   6.05s  b starts s2, free, possession 3
   6.07s  b: announce s1: of b, heir a, possession 2
   6.45s  b drains s1 to balance
   6.45s  b: give s1: of a, possession 3
   6.50s  a: take s1: of a, possession 4
   6.50s  a starts s1, handoff from b, possession 4
  worker a is running
  worker b is running
  lease s1: of a, possession 4
  lease s2: of b, possession 3

# Where there are no others it rests.
fleet
shards s1
start a
run 1s
close a s1 back
run 9s
----
   0.01s  a is joining
   0.07s  a is running
   0.09s  a: create s1: of a, possession 1
   0.09s  a starts s1, free, possession 1
   1.00s  a: give s1: free, possession 2

run 3s
----
  11.01s  a: take s1: of a, possession 3
  11.01s  a starts s1, again from a, possession 3

# A lease is lost: the row decides.
close a s1 lost
run 2s
----
  13.80s  a: take s1: of a, possession 4
  13.81s  a starts s1, again from a, possession 4

# An administrator wants it given up.
heir s1 *
run 1m
----
  60.08s  a drains s1 to balance
  60.09s  a: give s1: free, possession 5
  70.08s  a: take s1: of a, possession 6
  70.09s  a starts s1, again from a, possession 6

run 20s
----
