package bridge

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/record"
)

// failure is an error as it crosses.
type failure struct {
	code, text, remedy string
	unknown            bool // the record may be in the stream all the same
}

func (f *failure) Error() string { return f.text }

func failuref(code, format string, args ...any) *failure {
	return failureAs(code, fmt.Errorf(format, args...))
}

// failureAs is an error with a code that is known already.
func failureAs(code string, err error) *failure {
	text, remedy := explain(err)
	return &failure{code: code, text: text, remedy: remedy}
}

// badOption is a failure of an argument.
func badOption(format string, args ...any) *failure { return failuref(codeBadOption, format, args...) }

func (f *failure) value() results {
	v := results{"code": f.code, "text": brief(f.text, 16<<10)}
	if f.remedy != "" {
		v["remedy"] = brief(f.remedy, 4<<10)
	}
	if f.unknown {
		v["unknown"] = true
	}
	return v
}

// codes are the errors that callers branch on, and what they cross as. The first one
// that is found counts: a deadline that passed while the service throttled is a
// deadline.
var codes = []struct {
	err  error
	code string
}{
	{record.ErrEarlierFailed, codeEarlierFailed},
	{record.ErrTooLarge, codeTooLarge},
	{record.ErrDeadline, codeDeadline},
	{record.ErrClosed, codeClosed},
	{record.ErrBufferFull, codeBufferFull},
	{record.ErrLeaseLost, codeLeaseLost},
	{record.ErrGraceOver, codeGraceOver},
	{record.ErrTrimmed, codeTrimmed},
	{record.ErrKillsProcess, codeKillsProcess},
	{record.ErrThrottled, codeThrottled},
}

// entryCodes are what an error's entry of the troubleshooting page says of its kind.
var entryCodes = map[string]string{
	"access-denied": codeAccessDenied, "no-credentials": codeAccessDenied, "expired-credentials": codeAccessDenied,
	"store-permission": codeAccessDenied, "stream-not-found": codeNotFound, "fan-out": codeNotFound, "unreachable": codeUnreachable,
	"stream-name": codeBadOption, "group-name": codeBadOption, "no-store": codeBadOption, "no-region": codeBadOption,
	"partition-key": codeBadOption, "explicit-hash-key": codeBadOption, "headers-need-aggregation": codeBadOption,
	"looks-like-aggregate": codeBadOption, "transactional": codeBadOption,
}

// failureOf is an error of the library as it crosses.
func failureOf(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	f := failureAs(codeOf(err), err)
	if sent, ok := errors.AsType[*record.SendError](err); ok {
		f.unknown = sent.Outcome == record.Unknown
	}
	return f
}

func codeOf(err error) string {
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	if call, ok := errors.AsType[*kinesisapi.Error](err); ok {
		switch {
		case kinesisapi.NotFound(err):
			return codeNotFound
		case call.Class == kinesisapi.Throttled:
			return codeThrottled
		}
	}
	for _, m := range entry.FindAllStringSubmatch(err.Error(), -1) {
		if code := entryCodes[m[2]]; code != "" {
			return code
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return codeTimeout
	}
	return codeFailed
}

// entry is where an error of the library points to, from its repository.
var entry = regexp.MustCompile(` \(see (docs/troubleshooting\.md#([a-z-]+))\)`)

const repository = "https://github.com/libvegas/vegas/blob/main/"

// explain takes an error apart: what happened, and what to do about it.
func explain(err error) (text, remedy string) {
	text = namedIn(err)
	var say []string
	if call, ok := errors.AsType[*kinesisapi.Error](err); ok && call.Remedy() != "" {
		todo := named(call.Remedy())
		text = strings.ReplaceAll(text, ": "+todo, "")
		say = append(say, todo)
	}
	for _, m := range entry.FindAllStringSubmatch(text, -1) {
		if page := "see " + repository + m[1]; !slices.Contains(say, page) {
			say = append(say, page)
		}
	}
	return entry.ReplaceAllString(text, ""), strings.Join(say, "; ")
}
