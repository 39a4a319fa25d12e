# A lease is given to a worker that dies at once; the giver tells of it with its
# bell, the others find the row of its new owner gone or dead.
fleet lease=2s
shards s1 s2 s3
start a b c
run 6s
rows
----
   0.01s  a is joining
   0.01s  b is joining
   0.01s  c is joining
   0.07s  a is running
   0.07s  b is running
   0.07s  c is running
   0.09s  a: create s2: of a, possession 1
   0.09s  b: create s1: of b, possession 2
   0.09s  c: create s3: of c, possession 3
   0.09s  a starts s2, free, possession 1
   0.09s  b starts s1, free, possession 2
   0.09s  c starts s3, free, possession 3
  worker a is running
  worker b is running
  worker c is running
  lease s1: of b, possession 2
  lease s2: of a, possession 1
  lease s3: of c, possession 3

hold b take
pause b
stop a
run 5s
rows
----
   6.00s  a drains s2 to stop
   6.00s  a is stopping
   6.00s  a: give s2: of b, possession 2
   6.05s  a is dead
   6.06s  a is over: <nil>
   7.79s  c declares b dead
   7.81s  c: take s1: of c, possession 3, 1 takeovers
   7.81s  c: take s2: of c, possession 3, 1 takeovers
   7.82s  c starts s1, dead from b, possession 3
   7.82s  c starts s2, dead from b, possession 3
   8.29s  c buries a
  worker b is dead
  worker c is running
  lease s1: of c, possession 3, 1 takeovers
  lease s2: of c, possession 3, 1 takeovers
  lease s3: of c, possession 3
