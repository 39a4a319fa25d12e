module github.com/libvegas/vegas

go 1.26
