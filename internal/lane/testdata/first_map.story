# What is accepted before the shards are known waits, in order of arrival.
new linger=10ms
accept 20 3 20
poll
----

# The first listing is unusable: it does not cover the hash key space. The
# machine asks again, not at once.
learn 0:0-15
poll
----
wakes after 499.309117ms

poll after 500ms
----
wants the map

# This one will do. The records have lingered long enough.
learn 0:0-15 1:16-31
poll
----
0 opened
1 opened
request 1:
  to 0, laned: 2@3
  to 1, laned: 1@20 3@20

answer 1 stored
----
2@3 is stored in 0 at 1/0
1@20 is stored in 1 at 2/0
3@20 is stored in 1 at 2/1

# As long as looking is pointless until somebody changes something, and there is
# nothing to send, nobody looks; the next record asks at once.
new
accept 3
poll
learn-failed lasting
fail-queued
poll
poll after 1h
accept 4
poll
----
1@3 is not stored after 0 attempts: gone
poll is due
wants the map

# Otherwise it goes on.
learn-failed
withdraw 2
poll
----
true
wakes after 551.247548ms
