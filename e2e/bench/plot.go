package main

func (r *report) plots(dir string) error { return nil }
