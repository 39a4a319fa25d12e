# A function that does not return: its lease stays where it is until it does.
fleet
shards s1 s2
start a
slow a
run 1s
start b
run 1s
stop a
run 10s
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
   2.00s  a drains s2 to stop
   2.00s  a is stopping
  worker a is stopping
  worker b is running
  lease s1: of a, heir b, possession 1
  lease s2: of a, possession 2

close a s2 drained
run 1s
----
  12.01s  a: give s2: of b, possession 3
  12.04s  b: take s2: of b, possession 4
  12.05s  b starts s2, handoff from a, possession 4

# The process ends without it, as it does when the grace time is over: the others
# wait for the lease time.
crash a
run 5s
rows
----
  16.89s  b declares a dead
  16.91s  b: take s1: of b, possession 2, 1 takeovers
  16.91s  b starts s1, dead from a, possession 2
  worker a is dead
  worker b is running
  lease s1: of b, possession 2, 1 takeovers
  lease s2: of b, possession 4

# The last worker gives everything to nobody, and the next one need not wait.
fleet
shards s1 s2
start a
run 1s
stop a
run 2s
rows
----
   0.01s  a is joining
   0.07s  a is running
   0.09s  a: create s1: of a, possession 1
   0.09s  a: create s2: of a, possession 2
   0.09s  a starts s1, free, possession 1
   0.09s  a starts s2, free, possession 2
   1.00s  a drains s1 to stop
   1.00s  a drains s2 to stop
   1.00s  a is stopping
   1.00s  a: give s1: free, possession 2
   1.00s  a: give s2: free, possession 3
   1.05s  a is dead
   1.06s  a is over: <nil>
  worker a is dead
  lease s1: free, possession 2
  lease s2: free, possession 3

start b
run 1s
----
   3.02s  b is joining
   3.06s  b is running
   3.08s  b: take s1: of b, possession 3
   3.08s  b: take s2: of b, possession 4
   3.09s  b starts s1, free, possession 3
   3.09s  b starts s2, free, possession 4

# All stop at once.
fleet
shards s1 s2
start a b
run 5s
stop a
stop b
run 5s
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
   5.00s  a drains s2 to stop
   5.00s  b drains s1 to stop
   5.00s  a is stopping
   5.00s  b is stopping
   5.00s  a: give s2: of b, possession 2
   5.00s  b: give s1: of a, possession 3
   5.05s  a is dead
   5.05s  b is dead
   5.06s  a is over: <nil>
   5.06s  b is over: <nil>
  worker a is dead
  worker b is dead
  lease s1: of a, possession 3
  lease s2: of b, possession 2

# Whoever has not begun yet just goes.
fleet
start a
stop a
----
   0.00s  a is over: <nil>

start b
run 12ms
stop b
run 1s
rows
----
   0.01s  b is joining
   0.07s  b is dead
   0.07s  b is over: <nil>
  worker b is dead
