# The store is away for a minute. Everybody reads on while that is provable, and
# nobody is declared dead when it is back.
fleet
shards s1 s2
start a b
run 5s
away
run 1m
----
   0.01s  a is joining
   0.01s  b is joining
   0.07s  a is running
   0.07s  b is running
   0.09s  a: create s2: of a, possession 1
   0.09s  b: create s1: of b, possession 2
   0.09s  a starts s2, free, possession 1
   0.09s  b starts s1, free, possession 2
   8.31s  a loses s2
   8.31s  b loses s1

back
run 5s
rows
----
  66.08s  a: take s2: of a, possession 2
  66.08s  b: take s1: of b, possession 3
  66.09s  a starts s2, again from a, possession 2
  66.09s  b starts s1, again from b, possession 3
  worker a is running
  worker b is running
  lease s1: of b, possession 3
  lease s2: of a, possession 2

# Whoever stops meanwhile need not wait for it.
away
run 1s
stop a
run 10s
----
  71.00s  a drains s2 to stop
  72.69s  a is over: <nil>
  72.69s  b loses s1

# A short time away is not noticed.
fleet
shards s1 s2
start a b
run 5s
away
run 1500ms
back
run 10s
----
   0.01s  a is joining
   0.01s  b is joining
   0.07s  a is running
   0.07s  b is running
   0.09s  a: create s2: of a, possession 1
   0.09s  b: create s1: of b, possession 2
   0.09s  a starts s2, free, possession 1
   0.09s  b starts s1, free, possession 2
