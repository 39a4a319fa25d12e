# The answer is lost: whether 1 and 2 are stored is not known. The same entry
# leaves again before all others, and what becomes of it stays in doubt until it
# is acknowledged.
new
learn 0:0-31
accept 1 2
poll
----
0 opened
poll is due
request 1:
  to 0, laned: 1@1 2@2

accept 1 3
fail 1 unknown
poll
----
wakes after 76.398317ms

poll after 80ms
----
request 2:
  to 0, laned: 1@1 2@2

# Now the service says that it is over its rate. That the second attempt was
# not stored proves nothing about the first.
answer 2 throttled
poll after 200ms
----
request 3:
  to 0, laned: 1@1 2@2

answer 3 refused
----
1@1 is unknown after 3 attempts: refused
2@2 is unknown after 3 attempts: refused

# What came later goes on: a gap, no inversion.
poll
----
request 4:
  to 0, laned: 3@1 4@3
