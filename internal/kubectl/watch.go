package kubectl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"cargoship.dev/operator/internal/kubectl/view"
)

// Sequences of a terminal (ECMA-48): the alternate screen keeps what was there before.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	toTop       = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// shower shows what one look at the cluster found, or the error that it failed with.
type shower interface {
	show(items []view.Item, now time.Time, err error) error
}

// watch polls until the context ends, which is no error. It also ends if the first look
// fails, or if the only object watched is gone; other errors are shown, since they may pass.
func watch(ctx context.Context, interval time.Duration, look func(context.Context) ([]view.Item, error), s shower) error {
	for first := true; ; first = false {
		items, err := look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && (first || errors.Is(err, errNone)):
			return err
		}
		if err := s.show(items, time.Now(), err); err != nil {
			return err
		}
		if !pause(ctx, interval) {
			return nil
		}
	}
}

// screen draws one screen at a time.
type screen struct {
	out  io.Writer
	draw func([]view.Item, time.Time, view.Terminal) string
	last string
}

func (s *screen) show(items []view.Item, now time.Time, err error) error {
	t := terminal(s.out)
	text, note := s.last, ""
	if err != nil {
		note = "out of date: " + oneLine(err)
	} else {
		text = s.draw(items, now, t)
		s.last = text
	}
	text = view.Screen(text, note, now, t, height(s.out))
	_, err = io.WriteString(s.out, toTop+strings.ReplaceAll(text, "\n", clearLine+"\r\n")+clearLine+clearBelow)
	return err
}

// lines prints a line for each run that has changed.
type lines struct {
	out    io.Writer
	before map[string]string
}

func (l *lines) show(items []view.Item, now time.Time, err error) error {
	at := now.Format(time.TimeOnly)
	if err != nil {
		_, err = fmt.Fprintln(l.out, at, "out of date:", oneLine(err))
		return err
	}
	is := map[string]string{}
	for _, item := range items {
		key := item.Run.Namespace + "/" + item.Run.Name
		if is[key] = view.Line(item, now); is[key] != l.before[key] {
			if _, err := fmt.Fprintln(l.out, at, is[key]); err != nil {
				return err
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(l.before)) {
		if _, there := is[key]; !there {
			if _, err := fmt.Fprintln(l.out, at, key, "is gone"); err != nil {
				return err
			}
		}
	}
	l.before = is
	return nil
}

// pause waits, and tells whether to go on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
