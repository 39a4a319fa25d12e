# A record that never left can be withdrawn, one that left cannot.
new linger=10ms
learn 0:0-31
accept 1 2
withdraw 1
poll after 10ms
----
0 opened
poll is due
true
request 1:
  to 0, laned: 2@2

withdraw 2
answer 1 unknown
withdraw 2
----
false
false
