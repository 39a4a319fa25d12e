package command

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/libvegas/vegas/internal/kinesisapi"
)

var errNoRegion = errors.New("no AWS region is set (see docs/troubleshooting.md#no-region)")

// link is where an error of the library points to, from its repository.
var link = regexp.MustCompile(` \(see (docs/troubleshooting\.md#[a-z-]+)\)`)

const repository = "https://github.com/libvegas/vegas/blob/main/"

// explain takes an error's text apart: what happened, and lines with the remedy
// and where to read more.
func explain(err error) (text string, more []string) {
	text = err.Error()
	if errors.Is(err, context.Canceled) {
		return "interrupted", nil
	}
	remedy := ""
	if failed, ok := errors.AsType[*kinesisapi.Error](err); ok {
		remedy = failed.Remedy()
	}
	if remedy != "" {
		text = strings.ReplaceAll(text, ": "+remedy, "")
		more = append(more, strings.ToUpper(remedy[:1])+remedy[1:]+".")
	}
	switch {
	case errors.Is(err, errNoRegion):
		more = append(more, "Set AWS_REGION, or use --region. For \"vegas dev\" and other emulators set\nAWS_ENDPOINT_URL_KINESIS, or use --endpoint.")
	case isCode(err, "ResourceNotFoundException") && strings.Contains(text, "#stream-not-found"):
		more = append(more, "\"vegas streams list\" shows the streams that there are.")
	case isCode(err, "ResourceInUseException"):
		more = append(more, "\"vegas streams describe\" shows the stream's state.")
	}
	text, links := takeLinks(text)
	return text, append(more, see(links)...)
}

// takeLinks takes the links out of a text.
func takeLinks(text string) (plain string, links []string) {
	for _, found := range link.FindAllStringSubmatch(text, -1) {
		if page := repository + found[1]; !slices.Contains(links, page) {
			links = append(links, page)
		}
	}
	return link.ReplaceAllString(text, ""), links
}

// see is a line for each link.
func see(links []string) (lines []string) {
	for _, page := range links {
		lines = append(lines, "See "+page)
	}
	return lines
}

// isCode tells that err is the service's error of that name.
func isCode(err error, code string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == code
}
