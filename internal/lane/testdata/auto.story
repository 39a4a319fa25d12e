# Record distribution AUTO sets in unseen: the answer comes from another shard
# than predicted. The records count as not delivered, the lane waits for news.
new
learn 0:0-15 1:16-31
accept 1 2
poll
answer 1 stored:1
poll
----
0 opened
1 opened
poll is due
request 1:
  to 0, laned: 1@1 2@2
wakes after 249.654559ms

# The news: the service does not route by hash. Aggregates are not laned any
# more, and wherever they end up is right. The map is asked for now and then.
laned false
learn 0:0-15 1:16-31
poll
----
request 2:
  to 0, not laned: 1@1 2@2
wakes after 275.623774ms

answer 2 stored:1
poll
----
1@1 is stored in 1 at 2/0
2@2 is stored in 1 at 2/1
wakes after 275.623774ms

# What was under way when the news came is misplaced too. It does not wait for
# more news: there are none to come.
new
learn 0:0-15 1:16-31
accept 1 20
poll
laned false
learn 0:0-15 1:16-31
answer 1 stored:1 stored
poll after 10ms
----
0 opened
1 opened
poll is due
request 1:
  to 0, laned: 1@1
  to 1, laned: 2@20
2@20 is stored in 1 at 2/0
request 2:
  to 0, not laned: 1@1
wakes after 59.99s
