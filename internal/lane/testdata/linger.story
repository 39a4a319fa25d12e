# A lane that is not full waits the linger from its oldest record, and says so.
new linger=10ms aggregate=250
learn 0:0-15 1:16-31
poll
----
0 opened
1 opened

accept 1
poll after 3ms
----
poll is due
wakes after 7ms

# Another lane, three milliseconds younger, leaves in its company: it has
# waited more than half the linger.
accept 20
poll after 7ms
----
request 1:
  to 0, laned: 1@1
  to 1, laned: 2@20

# Only one entry of a lane is under way. The acknowledgement clocks the next,
# and what is full does not linger.
accept 2 3 4 5 6 7
poll
----

answer 1 stored
poll
----
1@1 is stored in 0 at 1/0
2@20 is stored in 1 at 2/0
request 2:
  to 0, laned: 3@2 4@3 5@4 6@5 7@6

# Flush does not linger either.
answer 2 stored
accept 9
flush
poll
----
3@2 is stored in 0 at 3/0
4@3 is stored in 0 at 3/1
5@4 is stored in 0 at 3/2
6@5 is stored in 0 at 3/3
7@6 is stored in 0 at 3/4
request 3:
  to 0, laned: 8@7 9@9
