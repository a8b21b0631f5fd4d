package archive

import (
	"os"
	"strings"
)

// opener opens planned files one after the other. It keeps the directory of the last two
// open, if it was the same, so that the path of a directory is looked up once for all of
// the files in it.
type opener struct {
	source *Source
	path   string
	// dir is the directory at path; nil while it is not open.
	dir *os.Root
}

// Open does what Source.Open does.
func (o *opener) Open(e Entry) (*SourceFile, error) {
	if err := o.source.allow(e); err != nil {
		return nil, err
	}
	if f := o.near(e.Path); f != nil {
		return o.source.accept(e, f)
	}
	return o.source.Open(e)
}

// near opens a file in the directory that is open; nil if it isn't there, or not to be opened
// from there.
func (o *opener) near(path string) *os.File {
	slash := max(0, strings.LastIndexByte(path, '/'))
	if o.path != path[:slash] {
		o.Close()
		o.path = path[:slash]
		return nil
	}
	if slash == 0 {
		return nil
	}
	if o.dir == nil {
		dir, err := o.source.root.OpenRoot(o.path)
		if err != nil {
			return nil
		}
		o.dir = dir
	}
	f, err := openIn(o.dir, path[slash+1:])
	if err != nil {
		return nil
	}
	return f
}

// Close closes the directory.
func (o *opener) Close() {
	if o.dir != nil {
		release(o.dir)
	}
	o.path, o.dir = "", nil
}
