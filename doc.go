// Package sallyport is a map of the house; it holds no code.
//
// Sallyport enforces EC2 Security Groups on any Linux machine, with eBPF at the host side of each
// virtual NIC, and is spoken to with the unmodified aws CLI.
//
//	cmd/sallyport     the one binary: dev, server, agent, and what an operator types; no logic lives here
//	vpc               the nouns: security group, rule, interface, tag; State, Change, Error, quotas
//	ruleset           what an interface may send and receive, and why: resolve, compile, evaluate
//	  scenariotest      reads rule scenarios and plays them on an engine: evaluator, tables, BPF, packets
//	reachability      whether one end may send to another, and why not: what Reachability Analyzer answers
//	inquiry           what a server asks a host about connections and verdicts, and what the host answers
//	feed              the stream between a server and an agent: the messages and both ends of it
//	  feedpb            the messages, generated from feed.proto
//	server            the control plane put together: Config, New, Run
//	  ec2api            EC2's Query API: form in, XML out; one file per family of actions
//	    ec2apitest        a lean client of the endpoint, for load and tests
//	    wire              generated request and result types with their codecs
//	      gen               makes them from the files *.api
//	    sigv4             checks a Signature Version 4; knows nothing of etcd or HTTP routing
//	  audit             the log of what calls changed: JSON lines, rotated
//	  iam               accounts, access keys, passwords, who may call which action
//	  signin            POST and DELETE /session: who is signed in to the console
//	  store             state in etcd, embedded or external: Read, Update, Watch
//	    storetest         a real store in a temporary directory
//	console           the web console (React, TypeScript); console.go embeds and serves what is built of it
//	agent             the host agent put together: Config, New, Run
//	  lab               lab guests: network namespaces, bridges, user data
//	  datapath          loads and attaches the eBPF programs, keeps maps equal to tables, reads events
//	    oracletest        judges frames the slow way, and makes up packets to compare by
//	    streamtest        sends numbered packets from guest to guest and says which arrived
//	    bpf               the C: one .bpf.c per object, one header per concept
//	    model             the protocol of the connection table, for a model checker
//	    hostiletest       what a hostile guest sends, for tests
//	      guest             the program of a virtual machine that sends it
//	    oldkernel         the program of a virtual machine with Linux 6.1, which loads the C
//	  machinetest       runs tests as if on a machine of their own
//	  local             the Unix socket on which hooks and the CLI announce an interface
//	  dump              asks the kernel for whole lists
//	e2e               the whole product: network namespaces, real clients, real packets
//	  bench             the same traffic through no filter, nftables, iptables and Sallyport; what programs, changes and the API cost
//	  clients           aws, boto3, SDKs, Ansible and what Terraform calls, on a server that runs alone
//	docs              one page per question a reader has; docs/decisions holds the ADRs
//
// # Floors
//
// Imports only point down; floors_test.go holds them to it.
//
//	0  vpc               standard library and one persistent-map package; no I/O
//	1  ruleset, reachability, inquiry   pure: no clock, no I/O, no goroutine
//	2  feed, server/…, agent/…   they talk to the world, and not to each other
//	3  server, agent     wire the rest of their side
//	4  cmd, e2e          see both sides
//
// # The main path
//
// A call travels cmd/sallyport/server.go → server → one action in server/ec2api → vpc →
// server/store → feed → ruleset → agent → agent/datapath → agent/datapath/bpf/guest.bpf.c.
package sallyport
