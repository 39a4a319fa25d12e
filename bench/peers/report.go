package main

import "fmt"

func (t *table) page() string            { return fmt.Sprintln(len(t.results), "turns") }
func (t *table) write(root string) error { return nil }
