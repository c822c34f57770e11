// Package feedpb has the messages of the feed, generated from feed.proto. Only package feed uses it.
package feedpb

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative feed.proto
