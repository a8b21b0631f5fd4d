package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
)

// bill lists what programs are made of, in SPDX 2.3: the modules that the linker recorded in
// them, each at the version and with the checksum of go.sum, and the standard library.
func bill(p *plan, name string, programs []program) ([]byte, error) {
	doc := &v2_3.Document{
		SPDXVersion: v2_3.Version, DataLicense: v2_3.DataLicense, SPDXIdentifier: "DOCUMENT", DocumentName: name,
		CreationInfo: &v2_3.CreationInfo{
			Created:  p.created.Format("2006-01-02T15:04:05Z"),
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "cargoship-release-" + p.version}},
		},
	}
	listed := map[string]bool{}
	var sums []string
	for _, program := range programs {
		info, err := buildinfo.ReadFile(program.path)
		if err != nil {
			return nil, fmt.Errorf("list what %s is made of: %w", program.path, err)
		}
		sum, err := fileSHA256(program.path)
		if err != nil {
			return nil, err
		}
		sums = append(sums, sum)
		own := programPackage(p, program, sum)
		doc.Packages = append(doc.Packages, own)
		doc.Relationships = append(doc.Relationships, relation("DOCUMENT", "DESCRIBES", own.PackageSPDXIdentifier))
		for _, module := range modules(info) {
			pkg := modulePackage(module)
			if !listed[string(pkg.PackageSPDXIdentifier)] {
				listed[string(pkg.PackageSPDXIdentifier)] = true
				doc.Packages = append(doc.Packages, pkg)
			}
			doc.Relationships = append(doc.Relationships, relation(own.PackageSPDXIdentifier, "STATICALLY_LINKS", pkg.PackageSPDXIdentifier))
		}
	}
	// The namespace is the document's alone: it follows from what the document is about.
	doc.DocumentNamespace = project + "/spdx/" + name + "-" + strings.Join(sums, "-")
	var text bytes.Buffer
	if err := spdxjson.Write(doc, &text, spdxjson.Indent("  ")); err != nil {
		return nil, fmt.Errorf("write the bill of materials of %s: %w", name, err)
	}
	return text.Bytes(), nil
}

// modules are those that a program was linked from, as replaced, and the standard library.
func modules(info *debug.BuildInfo) []debug.Module {
	all := []debug.Module{{Path: "stdlib", Version: strings.TrimPrefix(info.GoVersion, "go")}}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		all = append(all, *module)
	}
	slices.SortFunc(all, func(a, b debug.Module) int { return strings.Compare(a.Path, b.Path) })
	return all
}

func programPackage(p *plan, program program, sum string) *v2_3.Package {
	return &v2_3.Package{
		PackageName: program.name, PackageVersion: p.version, PackageFileName: program.fileName(),
		PackageSPDXIdentifier: identifier("Program", program.name, program.platform.OS, program.platform.Architecture),
		PackageSupplier:       &common.Supplier{SupplierType: "Organization", Supplier: "CargoShip"},
		PackageChecksums:      []common.Checksum{{Algorithm: common.SHA256, Value: sum}},
		PackageHomePage:       project, PackageDownloadLocation: "NOASSERTION",
		PackageLicenseConcluded: "Apache-2.0", PackageLicenseDeclared: "Apache-2.0", PackageCopyrightText: "NOASSERTION",
		PackageExternalReferences: []*v2_3.PackageExternalReference{moduleURL(debug.Module{Path: modulePath, Version: "v" + p.version})},
		PrimaryPackagePurpose:     "APPLICATION",
	}
}

func modulePackage(module debug.Module) *v2_3.Package {
	pkg := &v2_3.Package{
		PackageName: module.Path, PackageVersion: module.Version, PackageSPDXIdentifier: identifier("Module", module.Path, module.Version),
		PackageDownloadLocation: "NOASSERTION", PackageLicenseConcluded: "NOASSERTION", PackageLicenseDeclared: "NOASSERTION",
		PackageCopyrightText: "NOASSERTION", PackageExternalReferences: []*v2_3.PackageExternalReference{moduleURL(module)},
	}
	if module.Sum != "" {
		pkg.PackageComment = "go.sum " + module.Sum
	}
	return pkg
}

// moduleURL is a module's package URL (github.com/package-url/purl-spec, type golang).
func moduleURL(module debug.Module) *v2_3.PackageExternalReference {
	parts := strings.Split(strings.ToLower(module.Path), "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return &v2_3.PackageExternalReference{
		Category: "PACKAGE-MANAGER", RefType: "purl",
		Locator: "pkg:golang/" + strings.Join(parts, "/") + "@" + url.QueryEscape(module.Version),
	}
}

func relation(from common.ElementID, kind string, to common.ElementID) *v2_3.Relationship {
	return &v2_3.Relationship{RefA: common.MakeDocElementID("", string(from)), Relationship: kind, RefB: common.MakeDocElementID("", string(to))}
}

// identifier has only letters that SPDX allows, and differs where its parts do.
func identifier(parts ...string) common.ElementID {
	whole := strings.Join(parts, "-")
	sum := sha256.Sum256([]byte(whole))
	readable := regexp.MustCompile(`[^A-Za-z0-9.-]+`).ReplaceAllString(whole, "-")
	return common.ElementID(readable + "-" + hex.EncodeToString(sum[:4]))
}
