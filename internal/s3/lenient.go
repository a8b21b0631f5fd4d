package s3

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// maxDocument is the largest answer, in bytes, that is read leniently: a page of a listing.
const maxDocument = 16 << 20

// readLeniently has answers read that name what XML 1.0 has no way to name, such as a key
// with a control character, for which some servers write "&#x8;". The characters are
// replaced. The content of objects stays as it is.
func readLeniently(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("ReadLeniently", func(
		ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
	) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleDeserialize(ctx, in)
		answer, ok := out.RawResponse.(*smithyhttp.Response)
		content := middleware.GetOperationName(ctx) == "GetObject" && ok && answer.StatusCode/100 == 2
		if err == nil && ok && !content && answer.Body != nil {
			listed := answer.StatusCode/100 == 2 && hasResult(middleware.GetOperationName(ctx))
			answer.Body = &lenientBody{ReadCloser: answer.Body, result: listed}
		}
		return out, metadata, err
	}), middleware.After)
}

// hasResult reports whether the answer to an operation is a document. A page of somebody between
// here and the server would otherwise be read as an empty one: a listing of nothing.
func hasResult(operation string) bool {
	return slices.Contains([]string{"CompleteMultipartUpload", "CreateMultipartUpload", "ListMultipartUploads", "ListObjectsV2", "ListParts"}, operation)
}

// isResult reports whether the root of a document is one of S3, such as ListBucketResult.
func isResult(text []byte) bool {
	for d := xml.NewDecoder(bytes.NewReader(text)); ; {
		token, err := d.Token()
		if err != nil {
			return false
		}
		if root, ok := token.(xml.StartElement); ok {
			return strings.HasSuffix(root.Name.Local, "Result") || strings.EqualFold(root.Name.Local, "Error")
		}
	}
}

// errNoResult is an answer that S3 would not give.
var errNoResult = &smithy.DeserializationError{Err: errors.New("the answer is no document of S3")}

// lenientBody is read as a whole at the first Read.
type lenientBody struct {
	io.ReadCloser
	// result: the document must be a result of S3.
	result   bool
	document *bytes.Reader
	err      error
}

// Read implements io.Reader.
func (b *lenientBody) Read(p []byte) (int, error) {
	if b.document == nil {
		var text []byte
		text, b.err = io.ReadAll(io.LimitReader(b.ReadCloser, maxDocument))
		if text = lenient(text); b.result && b.err == nil && !isResult(text) {
			text, b.err = nil, errNoResult
		}
		b.document = bytes.NewReader(text)
	}
	n, err := b.document.Read(p)
	if err == io.EOF && b.err != nil {
		err = b.err
	}
	return n, err
}

var characterReference = regexp.MustCompile(`&#(?:x([0-9a-fA-F]+)|([0-9]+));`)

// lenient replaces what is no character of XML 1.0.
func lenient(text []byte) []byte {
	text = bytes.ToValidUTF8(text, []byte("\uFFFD"))
	text = bytes.Map(func(r rune) rune {
		if !isXML(r) {
			return '\uFFFD'
		}
		return r
	}, text)
	return characterReference.ReplaceAllFunc(text, func(reference []byte) []byte {
		found := characterReference.FindSubmatch(reference)
		code, err := strconv.ParseInt(string(found[1]), 16, 32)
		if len(found[2]) > 0 {
			code, err = strconv.ParseInt(string(found[2]), 10, 32)
		}
		if err != nil || !isXML(rune(code)) {
			return []byte("\uFFFD")
		}
		return reference
	})
}

// isXML reports whether XML 1.0 has the character; see its section 2.2.
func isXML(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r <= 0xD7FF || r >= 0xE000 && r <= 0xFFFD || r >= 0x10000 && r <= 0x10FFFF
}
