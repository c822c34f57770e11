package store

import (
	"context"
	"log/slog"
	"sync/atomic"

	"go.uber.org/zap/zapcore"
)

// zapToSlog is a zap core that hands etcd's warnings and errors to slog. While etcd starts it
// warns about choices that were made on purpose; those are left out.
type zapToSlog struct {
	log      *slog.Logger
	starting atomic.Bool
	fields   []zapcore.Field // not changed after With
}

func (z *zapToSlog) Enabled(l zapcore.Level) bool {
	return l >= zapcore.ErrorLevel || l >= zapcore.WarnLevel && !z.starting.Load()
}

func (z *zapToSlog) With(fields []zapcore.Field) zapcore.Core {
	n := &zapToSlog{log: z.log, fields: append(z.fields[:len(z.fields):len(z.fields)], fields...)}
	n.starting.Store(z.starting.Load())
	return n
}

func (z *zapToSlog) Check(e zapcore.Entry, c *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if z.Enabled(e.Level) {
		return c.AddCore(e, z)
	}
	return c
}

func (z *zapToSlog) Write(e zapcore.Entry, fields []zapcore.Field) error {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range append(z.fields[:len(z.fields):len(z.fields)], fields...) {
		f.AddTo(enc)
	}
	level := slog.LevelWarn
	if e.Level >= zapcore.ErrorLevel {
		level = slog.LevelError
	}
	z.log.LogAttrs(context.Background(), level, "etcd", slog.String("message", e.Message), slog.Any("fields", enc.Fields))
	return nil
}

func (z *zapToSlog) Sync() error { return nil }
