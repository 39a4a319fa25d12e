# A worker joins: it gets its share, and not one lease more is moved. Those who
# have more give first; the larger shares stay where they are.
fleet a=4 b=3 c=3
join d
settle
----
a gives a1 to d
c gives c1 to d
a has 3 of 3, b has 3 of 3, c has 2 of 2, d has 2 of 2

# One lease too many somewhere is no reason to move it.
fleet a=3 b=2 c=2
settle
----
a has 3 of 3, b has 2 of 2, c has 2 of 2

# As many workers as leases, and one more.
fleet a=1 b=1
join c
settle
----
a has 1 of 1, b has 1 of 1, c has 0 of 0
