# A name is taken while somebody lives under it.
fleet
shards s1
start a=web
run 1s
start b=web
run 6s
----
   0.01s  a is joining
   0.07s  a is running
   0.09s  a: create s1: of a, possession 1
   0.09s  a starts s1, free, possession 1
   5.76s  b is over: another worker of the group has this name

# When that one has died, its row stands there for the lease time.
crash a
run 500ms
start c=web
run 6s
rows
----
  11.56s  c declares a dead
  11.59s  c is joining
  11.63s  c is running
  11.65s  c: take s1: of c, possession 2, 1 takeovers
  11.66s  c starts s1, dead from a, possession 2
  worker a is dead
  worker c is running
  lease s1: of c, possession 2, 1 takeovers

# Of two that join at once one stays.
fleet
shards s1
start b=web a=web
run 6s
rows
----
   0.01s  b is joining
   0.01s  a is joining
   5.04s  b is dead
   5.04s  b is over: another worker of the group has this name
   5.29s  a is running
   5.30s  a: create s1: of a, possession 1
   5.31s  a starts s1, free, possession 1
  worker a is running
  worker b is dead
  lease s1: of a, possession 1

# Also where the one that stays is the first to see the other.
fleet
shards s1
start a=web
run 11ms
start b=web
run 6s
----
   0.01s  a is joining
   0.07s  a is running
   0.09s  a: create s1: of a, possession 1
   0.09s  a starts s1, free, possession 1
   4.27s  b is over: another worker of the group has this name

# The creation of a row has no answer, and is done later: nothing is known of it,
# so the ID is given up. What it leaves behind shows no life.
fleet
shards s1
start a=web
lose a join applied
run 2s
start b=web
run 6s
rows
----
   0.01s  a is joining
   0.51s  a: no answer to its join
   0.51s  a is over: declared dead, by another worker or an administrator
   6.07s  b declares a dead
   6.08s  b is joining
   6.13s  b is running
   6.16s  b: create s1: of b, possession 1
   6.16s  b starts s1, free, possession 1
  worker a is dead
  worker b is running
  lease s1: of b, possession 1

# An old one of the name is about to end: its successor waits for that.
fleet
shards s1
start a=web
run 1s
slow a
stop a
start b=web
run 2s
close a s1 drained
run 2s
----
   0.01s  a is joining
   0.07s  a is running
   0.09s  a: create s1: of a, possession 1
   0.09s  a starts s1, free, possession 1
   1.00s  a drains s1 to stop
   1.00s  a is stopping
   3.00s  a: give s1: free, possession 2
   3.02s  a is dead
   3.02s  a is over: <nil>
   3.12s  b is joining
   3.17s  b is running
   3.19s  b: take s1: of b, possession 3
   3.19s  b starts s1, free, possession 3
