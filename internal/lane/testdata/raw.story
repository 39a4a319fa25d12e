# Without aggregation records of different hashes are under way together, those
# of one hash one after the other.
new raw
learn 0:0-15 1:16-31
accept 1 2 1 20
poll
----
0 opened
1 opened
poll is due
request 1:
  to 0, raw: 1@1
  to 0, raw: 2@2
  to 1, raw: 4@20

# A lost answer: 2@2 leaves again, and 5@2 waits for it.
accept 2
answer 1 stored unknown stored
poll after 80ms
----
1@1 is stored in 0 at 1/0
4@20 is stored in 1 at 2/0
request 2:
  to 0, raw: 2@2
  to 0, raw: 3@1

answer 2 stored
poll
----
2@2 is stored in 0 at 3/0
3@1 is stored in 0 at 4/0
request 3:
  to 0, raw: 5@2

# Where a record was stored is the service's business: no map, no parking. But
# an answer from a shard that nobody knows is a reason to look.
answer 3 stored:5
poll
----
5@2 is stored in 5 at 5/0
wakes after 169.654559ms
