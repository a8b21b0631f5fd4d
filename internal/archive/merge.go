package archive

import "slices"

// Merge returns the manifest with what another attempt at the same archive has stored and
// this one has not, so that a later attempt that fares worse loses nothing. A tar is
// replaced as a whole: the members of the other attempt's count where this one has stored
// none. A manifest of anything else changes nothing.
func (m Manifest) Merge(other Manifest) Manifest {
	if !m.sameArchive(other) {
		return m
	}
	own := m.Object != nil
	m.Members = slices.Clone(m.Members)
	for i, f := range other.Members {
		inTar := f.Key == ""
		if m.Members[i].Outcome != Failed || f.Outcome != Done || inTar && own {
			continue
		}
		m.Members[i] = f
		if inTar {
			m.Object = other.Object
		}
	}
	return m
}

// sameArchive says that both are of one archive of one inventory.
func (m Manifest) sameArchive(other Manifest) bool {
	return m.Transfer == other.Transfer && m.Prefix == other.Prefix && m.Number == other.Number &&
		slices.EqualFunc(m.Members, other.Members, func(a, b Member) bool { return a.Path == b.Path && a.Kind == b.Kind })
}

// Whole says that none of the members has failed.
func (m Manifest) Whole() bool {
	return !slices.ContainsFunc(m.Members, func(f Member) bool { return f.Outcome == Failed })
}
