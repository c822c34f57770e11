package datapath

// Byte for byte the same from clang 19 and llvm-strip 19 of Debian 12, in whatever directory. The
// include paths are those of libbpf-dev and linux-libc-dev.
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -output-stem guest -type address -type timeouts -type eni_config -type limit -type kind -type role -type eni_flag -type device_mode -type connection_flag -type family -type event -type connection_key -type connection -type bucket -type overflow -type overflow_exchange -type occupancy -type fragment_key -type fragment -type line -type tree_node -type tree_leaf -type address_trees -type table -type rule_line guest bpf/guest.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include/aarch64-linux-gnu
