# A stopping worker gives everything away, evenly.
fleet a=4 b=4 c=4
stop b
settle
leave b
settle
----
b gives b1 b2 to a
b gives b3 b4 to c
a has 6 of 6, b has 0 of 0, c has 6 of 6
a has 6 of 6, c has 6 of 6

# Two stop at once, and one joins: together they fill it, and nothing is handed
# over twice.
fleet a=5 b=5 c=5 d=0
stop a
stop b
settle
----
a gives a1 a2 a3 to c
a gives a4 a5 to d
b gives b1 b2 b3 b4 b5 to d
a has 0 of 0, b has 0 of 0, c has 8 of 8, d has 7 of 7

# The last one gives up; whoever comes takes all.
fleet a=3
stop a
settle
leave a
join b
settle
----
a gives a1 a2 a3 up
a has 0 of 0, 3 free
b takes a1 a2 a3
b has 3 of 3
