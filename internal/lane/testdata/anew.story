# The stream is deleted and made anew under its name while a record is under
# way. The new shards bear old names; nothing of the old ones holds any more.
new
learn 0:0-31! 1:0-15<0 2:16-31<0
accept 3 20
poll
accept 4 21
fail 1 unknown
forget
learn 0:0-7 1:8-31
poll after 100ms
----
1 opened
2 opened
poll is due
request 1:
  to 1, laned: 1@3
  to 2, laned: 2@20
1 gave way
2 gave way
0 opened
1 opened
request 2:
  to 1, laned: 2@20 4@21
  to 0, laned: 1@3 3@4
wakes after 139.12496ms

# The stream is found missing: by the old map nothing leaves any more, for in a
# stream made anew its shards may have other ranges.
new
learn 0:0-31
accept 3
poll
fail 1 fatal
forget
accept 4 21
poll after 100ms
----
0 opened
poll is due
request 1:
  to 0, laned: 1@3
1@3 is not stored after 1 attempts: fatal
poll is due
wakes after 149.654559ms

poll after 1s
----
wants the map

# A listing that does not cover the key space is no map.
learn 0:0-15
poll after 1s
----
wants the map

learn 0:0-15 1:16-31
poll
----
0 gave way
0 opened
1 opened
request 2:
  to 0, laned: 2@4
  to 1, laned: 3@21
