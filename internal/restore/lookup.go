package restore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"

	"cargoship.dev/operator/internal/archive"
)

// Select returns manifests that hold all members which a selection takes, and the directories
// that these are in; they may hold others. Of a run with a path index, a selection whose patterns have
// fixed beginnings takes as many requests as there are blocks of the index with what it may
// match; else it is Manifests. Manifests of an archive follow each other, mostly in one piece.
// Where the index is damaged, a warning is kept, and the manifests are read from there on.
func (c *Catalog) Select(ctx context.Context, s Selection) iter.Seq2[archive.Manifest, error] {
	ranges, fixed := s.ranges()
	if !fixed || c.Index.Paths == nil {
		return c.Manifests(ctx)
	}
	return func(yield func(archive.Manifest, error) bool) {
		l := c.lookup(s, yield)
		err := l.run(ctx, ranges)
		if damaged, is := errors.AsType[*archive.PathIndexError](err); is {
			c.warn(fmt.Sprintf("%v: reading all manifests instead", damaged))
			err = l.rest(ctx)
		}
		if err != nil && !errors.Is(err, errEnough) {
			yield(archive.Manifest{}, err)
		}
	}
}

func (c *Catalog) lookup(s Selection, yield func(archive.Manifest, error) bool) *lookup {
	return &lookup{catalog: c, selection: s, paths: c.pathReader(), open: map[string]*gathered{}, whole: map[archiveID]bool{}, yield: yield}
}

// errEnough ends a lookup whose consumer wants no more.
var errEnough = errors.New("no more is wanted")

// maxGathered bounds the members in memory of a selection that is looked up in the path index.
const maxGathered = 10_000

// maxTargets is how many targets of hard links are rather looked up than the manifest of their
// archive read.
const maxTargets = 16

type archiveID struct {
	prefix string
	number int64
}

// lookup gathers the members of a selection by archive.
type lookup struct {
	catalog   *Catalog
	selection Selection
	paths     *archive.PathReader
	yield     func(archive.Manifest, error) bool
	// open are the archives that more members may follow of, the one of each prefix; members
	// counts what they hold.
	open    map[string]*gathered
	members int
	// whole are the archives whose manifests were handed on.
	whole map[archiveID]bool
	// last is the last path that was gathered.
	last string
}

type gathered struct {
	manifest archive.Manifest
	// linked are the paths that hard links lead to, held those of members.
	linked []string
	held   map[string]bool
}

// targets are the paths that hard links lead to and that are not among the members.
func (g *gathered) targets() (elsewhere []string) {
	for _, target := range g.linked {
		if !g.held[target] {
			g.held[target] = true
			elsewhere = append(elsewhere, target)
		}
	}
	return elsewhere
}

func (l *lookup) run(ctx context.Context, ranges []pathRange) error {
	for _, r := range ranges {
		if err := l.leading(ctx, r.begin); err != nil {
			return err
		}
		for m, err := range l.paths.From(ctx, r.begin, r.past) {
			if err != nil {
				return err
			}
			if err := l.take(ctx, m); err != nil {
				return err
			}
		}
	}
	for _, g := range l.inOrder() {
		if err := l.flush(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

// inOrder are the open archives by prefix: the same selection is handed on in the same order.
func (l *lookup) inOrder() (open []*gathered) {
	for _, prefix := range slices.Sorted(maps.Keys(l.open)) {
		open = append(open, l.open[prefix])
	}
	return open
}

// leading hands on the directories that a range is in.
func (l *lookup) leading(ctx context.Context, begin string) error {
	lead, err := l.paths.Leading(ctx, begin)
	if err != nil || len(lead) == 0 {
		return err
	}
	if !l.yield(archive.Manifest{Transfer: l.catalog.Index.Layout.UID, Members: lead}, nil) {
		return errEnough
	}
	return nil
}

// take gathers a member.
func (l *lookup) take(ctx context.Context, m archive.PathMember) error {
	selected := l.selection.Takes(m.Path)
	if !selected && (m.Kind != archive.Directory || !l.selection.leads(m.Path)) || l.whole[archiveID{m.Prefix, m.Number}] {
		l.last = m.Path
		return nil
	}
	g := l.open[m.Prefix]
	if g != nil && g.manifest.Number != m.Number {
		if err := l.flush(ctx, g); err != nil {
			return err
		}
		g = nil
	}
	if g == nil {
		g = &gathered{held: map[string]bool{}, manifest: archive.Manifest{
			Transfer: l.catalog.Index.Layout.UID, Prefix: m.Prefix, Number: m.Number, Object: m.Object,
		}}
		l.open[m.Prefix] = g
	}
	if err := l.sameTar(g, m); err != nil {
		return err
	}
	l.last = m.Path
	g.manifest.Members = append(g.manifest.Members, m.Member)
	if m.Kind == archive.HardLink {
		g.linked = append(g.linked, m.Link)
	}
	if m.Kind == archive.File {
		g.held[m.Path] = true
	}
	if l.members++; l.members < cmp.Or(l.catalog.gather, maxGathered) {
		return nil
	}
	return l.relieve(ctx)
}

// sameTar returns an error if a member is said to be in another tar than those of the same archive
// before it.
func (l *lookup) sameTar(g *gathered, m archive.PathMember) error {
	if a, b := g.manifest.Object, m.Object; a == b || a != nil && b != nil && *a == *b {
		return nil
	}
	return &archive.PathIndexError{Key: l.catalog.Index.Layout.IndexKey(), Err: fmt.Errorf(
		"it has archive %d of prefix %q in two tars", m.Number, m.Prefix)}
}

// relieve hands on the manifest of the archive with the most members gathered, all of it.
func (l *lookup) relieve(ctx context.Context) error {
	var most *gathered
	for _, g := range l.inOrder() {
		if most == nil || len(g.manifest.Members) > len(most.manifest.Members) {
			most = g
		}
	}
	return l.handWhole(ctx, most)
}

// handWhole hands on the manifest of an archive, in place of what was gathered of it.
func (l *lookup) handWhole(ctx context.Context, g *gathered) error {
	prefix, number := g.manifest.Prefix, g.manifest.Number
	l.close(g)
	l.whole[archiveID{prefix, number}] = true
	return l.hand(l.catalog.Manifest(ctx, prefix, number))
}

func (l *lookup) close(g *gathered) {
	delete(l.open, g.manifest.Prefix)
	l.members -= len(g.manifest.Members)
}

// hand hands a manifest on.
func (l *lookup) hand(m archive.Manifest, err error) error {
	if err != nil && !errors.As(err, new(*ManifestError)) {
		return err
	}
	if !l.yield(m, err) {
		return errEnough
	}
	return nil
}

// flush hands on what was gathered of an archive, with what its hard links lead to. Unless that is
// found, the archive stays open.
func (l *lookup) flush(ctx context.Context, g *gathered) error {
	elsewhere := g.targets()
	if len(elsewhere) > maxTargets {
		return l.handWhole(ctx, g)
	}
	for _, target := range elsewhere {
		r := pathRange{target, true}
		for m, err := range l.paths.From(ctx, target, r.past) {
			if err != nil {
				return err
			}
			if m.Path == target && m.Prefix == g.manifest.Prefix && m.Number == g.manifest.Number {
				if err := l.sameTar(g, m); err != nil {
					return err
				}
				g.manifest.Members = append(g.manifest.Members, m.Member)
			}
			break
		}
	}
	l.close(g)
	return l.hand(g.manifest, nil)
}

// rest hands on what was not looked up yet, from the manifests.
func (l *lookup) rest(ctx context.Context) error {
	for m, err := range l.catalog.Manifests(ctx) {
		if err == nil {
			open := l.open[m.Prefix]
			unsent := open != nil && open.manifest.Number == m.Number
			if l.whole[archiveID{m.Prefix, m.Number}] {
				continue
			}
			if !unsent {
				m = after(m, l.last)
			}
		}
		if err := l.hand(m, err); err != nil {
			return err
		}
	}
	return nil
}

// after returns a manifest without what has been handed on: the members up to a path, but for
// files that links lead to, which are not selected or there already.
func after(m archive.Manifest, last string) archive.Manifest {
	if last == "" {
		return m
	}
	linked := map[string]bool{}
	for _, f := range m.Members {
		if f.Kind == archive.HardLink && archive.ComparePaths(f.Path, last) > 0 {
			linked[f.Link] = true
		}
	}
	var left []archive.Member
	for _, f := range m.Members {
		if archive.ComparePaths(f.Path, last) > 0 || linked[f.Path] {
			left = append(left, f)
		}
	}
	m.Members = left
	return m
}

// pathReader returns a reader of the path index, which there must be.
func (c *Catalog) pathReader() *archive.PathReader {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.blocks == nil {
		c.blocks = &blocks{read: c.readBlock}
	}
	return archive.NewPathReader(c.Index.Layout, *c.Index.Paths, c.blocks.get)
}

func (c *Catalog) readBlock(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	data, err := readRange(ctx, c.bucket, key, offset, length)
	if err != nil && scopeOf(ctx, err) == ofObject {
		err = &archive.PathIndexError{Key: key, Err: err}
	}
	return data, err
}

// readRange reads a small part of an object, again where a read breaks off.
func readRange(ctx context.Context, b Bucket, key string, offset, length int64) (data []byte, err error) {
	for attempt := 1; ; attempt++ {
		var body io.ReadCloser
		if body, err = b.OpenRange(ctx, key, "", offset, length); err != nil {
			return nil, err
		}
		data = make([]byte, length)
		_, err = io.ReadFull(connection{body}, data)
		_ = body.Close() // All that matters was read.
		if err == nil {
			return data, nil
		}
		if attempt == fetchAttempts || !pause(ctx, attempt) {
			return nil, fmt.Errorf("read %s: %w", key, readError{err})
		}
	}
}

// Pick returns what Select does where the path index alone tells it, and it has fewer members than
// a number; else false. Who picks twice has the same: so few members are handed on in one order, and
// a server that can't answer now is an error.
func (c *Catalog) Pick(ctx context.Context, s Selection, most int) (picked []archive.Manifest, ok bool, err error) {
	ranges, fixed := s.ranges()
	if !fixed || c.Index.Paths == nil {
		return nil, false, nil
	}
	most = min(most, cmp.Or(c.gather, maxGathered))
	members := 0
	var unread error
	l := c.lookup(s, func(m archive.Manifest, err error) bool {
		picked, members, unread = append(picked, m), members+len(m.Members), err
		return err == nil && members < most
	})
	if err = l.run(ctx, ranges); unread != nil {
		err = unread
	}
	switch {
	case Transient(err):
		return nil, false, fmt.Errorf("look up what is selected: %w", err)
	case unread != nil, errors.Is(err, errEnough), errors.As(err, new(*archive.PathIndexError)):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	}
	return picked, members < most, nil
}
