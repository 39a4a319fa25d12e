# The giver dies when it has announced: its heir takes the lease, and the rest is
# shared out.
fleet
shards s1 s2
start a
run 1s
start b c
run 600ms
rows
----
   0.01s  a is joining
   0.07s  a is running
   0.09s  a: create s1: of a, possession 1
   0.09s  a: create s2: of a, possession 2
   0.09s  a starts s1, free, possession 1
   0.09s  a starts s2, free, possession 2
   1.01s  b is joining
   1.01s  c is joining
   1.06s  b is running
   1.06s  c is running
   1.28s  a: announce s1: of a, heir b, possession 1
  worker a is running
  worker b is running
  worker c is running
  lease s1: of a, heir b, possession 1
  lease s2: of a, possession 2

crash a
run 6s
rows
----
   5.58s  c declares a dead
   5.61s  c: take s2: of c, possession 3, 1 takeovers
   5.61s  b: take s1: of b, possession 2, 1 takeovers
   5.61s  c starts s2, dead from a, possession 3
   5.61s  b starts s1, dead from a, possession 2
  worker a is dead
  worker b is running
  worker c is running
  lease s1: of b, possession 2, 1 takeovers
  lease s2: of c, possession 3, 1 takeovers

# It dies while it drains.
fleet
shards s1 s2
start a
slow a
run 1s
start b
run 1s
crash a
run 6s
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
   1.28s  a: announce s1: of a, heir b, possession 1
   1.67s  a drains s1 to balance
   5.58s  b declares a dead
   5.61s  b: take s1: of b, possession 2, 1 takeovers
   5.61s  b: take s2: of b, possession 3, 1 takeovers
   5.61s  b starts s1, dead from a, possession 2
   5.61s  b starts s2, dead from a, possession 3
  worker a is dead
  worker b is running
  lease s1: of b, possession 2, 1 takeovers
  lease s2: of b, possession 3, 1 takeovers

# It dies while it gives the lease, before the store has that.
fleet
shards s1 s2
start a
run 1s
start b
hold a give
run 1s
crash a
run 6s
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
   1.28s  a: announce s1: of a, heir b, possession 1
   1.67s  a drains s1 to balance
   1.67s  a: its give of s1 to b has no answer yet
   5.58s  b declares a dead
   5.61s  b: take s1: of b, possession 2, 1 takeovers
   5.61s  b: take s2: of b, possession 3, 1 takeovers
   5.61s  b starts s1, dead from a, possession 2
   5.61s  b starts s2, dead from a, possession 3
  worker a is dead
  worker b is running
  lease s1: of b, possession 2, 1 takeovers
  lease s2: of b, possession 3, 1 takeovers

# It dies right after the store has that: nobody tells the heir, who looks.
fleet
shards s1 s2
start a
run 1s
start b
lose a give applied
run 950ms
crash a
run 6s
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
   1.28s  a: announce s1: of a, heir b, possession 1
   1.67s  a drains s1 to balance
   1.67s  a: give s1: of b, possession 2
   1.71s  b: take s1: of b, possession 3
   1.71s  b starts s1, handoff from a, possession 3
   2.17s  a: no answer to its give of s1 to b
   5.54s  b declares a dead
   5.56s  b: take s2: of b, possession 3, 1 takeovers
   5.57s  b starts s2, dead from a, possession 3
  worker a is dead
  worker b is running
  lease s1: of b, possession 3
  lease s2: of b, possession 3, 1 takeovers

# It dies when all is done.
fleet
shards s1 s2
start a
run 1s
start b
run 2s
crash a
run 6s
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
   1.28s  a: announce s1: of a, heir b, possession 1
   1.67s  a drains s1 to balance
   1.67s  a: give s1: of b, possession 2
   1.71s  b: take s1: of b, possession 3
   1.71s  b starts s1, handoff from a, possession 3
   6.69s  b declares a dead
   6.71s  b: take s2: of b, possession 3, 1 takeovers
   6.71s  b starts s2, dead from a, possession 3
  worker a is dead
  worker b is running
  lease s1: of b, possession 3
  lease s2: of b, possession 3, 1 takeovers
