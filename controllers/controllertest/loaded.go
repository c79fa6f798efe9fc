package controllertest

import (
	"context"
	"errors"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// MetadataEnd is one more than any broker has shown.
func (k *FakeKafka) MetadataEnd(context.Context) (int64, error) {
	end, err := k.begin("metadata-end")
	if err != nil {
		return 0, err
	}
	k.shown++
	next := k.shown + 1 // read before it is let go of
	return next, end()
}

// Loaded grows with each look, but for brokers that are Behind.
func (k *FakeKafka) Loaded(_ context.Context, broker int32) (int64, error) {
	end, err := k.begin("loaded")
	if err != nil {
		return 0, err
	}
	switch {
	case k.Silent[broker]:
		return 0, errors.Join(kafka.ErrUnreachable, end())
	case k.Behind[broker]:
		return 0, end()
	}
	k.shown++
	shown := k.shown
	return shown, end()
}
