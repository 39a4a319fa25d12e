# The first worker of a group takes everything.
fleet a=0 free=6
settle
----
a takes f1 f2 f3 f4 f5 f6
a has 6 of 6

# Three that start at once take disjoint shares at the first try.
fleet a=0 b=0 c=0 free=7
take
shares
----
a takes f1 f2 f5
b takes f3 f4
c takes f6 f7
a has 3 of 3, b has 2 of 2, c has 2 of 2
