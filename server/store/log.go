package store

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapToSlog is a zap core that hands to slog what etcd logs at a level or above.
type zapToSlog struct {
	log    *slog.Logger
	level  zap.AtomicLevel
	fields []zapcore.Field // not changed after With
}

// harmless is what etcd says of every new data directory, at error level.
var harmless = []string{"Failed to detect schema version", "failed to update storage version"}

const maxFieldBytes = 256

func (z *zapToSlog) Enabled(l zapcore.Level) bool { return z.level.Enabled(l) }

func (z *zapToSlog) With(fields []zapcore.Field) zapcore.Core {
	return &zapToSlog{log: z.log, level: z.level, fields: slices.Concat(z.fields, fields)}
}

func (z *zapToSlog) Check(e zapcore.Entry, c *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if z.Enabled(e.Level) && !slices.Contains(harmless, e.Message) {
		return c.AddCore(e, z)
	}
	return c
}

func (z *zapToSlog) Write(e zapcore.Entry, fields []zapcore.Field) error {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range slices.Concat(z.fields, fields) {
		f.AddTo(enc)
	}
	for name, value := range enc.Fields { // a slow request is told whole, which may be megabytes
		if text := fmt.Sprint(value); len(text) > maxFieldBytes {
			enc.Fields[name] = text[:maxFieldBytes] + "…"
		}
	}
	level := slog.LevelWarn
	if e.Level >= zapcore.ErrorLevel {
		level = slog.LevelError
	}
	z.log.LogAttrs(context.Background(), level, "etcd", slog.String("message", e.Message), slog.Any("fields", enc.Fields))
	return nil
}

func (z *zapToSlog) Sync() error { return nil }
