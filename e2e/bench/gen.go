package main

// As those of agent/datapath, byte for byte the same from clang 19 and llvm-strip 19 of Debian 12.
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -output-stem reference reference bpf/reference.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include/aarch64-linux-gnu
