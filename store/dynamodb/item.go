package dynamodb

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"

	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/libvegas/vegas/store"
)

// Attributes of an item.
const (
	attrGroup    = "group"
	attrID       = "id"
	attrRevision = "revision"
	attrFields   = "fields"
	attrBody     = "body"
)

type item = map[string]types.AttributeValue

// newRevision names a write. It is never 0 and has 62 bits: no store need take
// more than a signed number.
func newRevision() uint64 { return rand.Uint64()>>2 + 1 }

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n uint64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatUint(n, 10)}
}

func key(group, id string) item { return item{attrGroup: text(group), attrID: text(id)} }

// update is the write that makes the stored row next, if it has the revision old
// (0: if there is none).
func update(table string, old uint64, next store.Row) *sdk.UpdateItemInput {
	fields := make(item, len(next.Fields))
	for k, v := range next.Fields {
		fields[k] = text(v)
	}
	in := &sdk.UpdateItemInput{
		TableName: &table,
		Key:       key(next.Group, next.ID),
		// By placeholders alone: which words are reserved grows with the service.
		ExpressionAttributeNames:  map[string]string{"#r": attrRevision, "#f": attrFields, "#b": attrBody},
		ExpressionAttributeValues: item{":r": number(next.Revision), ":f": &types.AttributeValueMemberM{Value: fields}},
	}
	expression := "SET #r = :r, #f = :f"
	if len(next.Body) > 0 {
		expression += ", #b = :b"
		in.ExpressionAttributeValues[":b"] = &types.AttributeValueMemberB{Value: next.Body}
	} else {
		expression += " REMOVE #b"
	}
	in.UpdateExpression = &expression
	in.ConditionExpression = has(old, in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	return in
}

// remove is the deletion of a row that has the revision old.
func remove(table string, row store.Row) *sdk.DeleteItemInput {
	in := &sdk.DeleteItemInput{
		TableName:                 &table,
		Key:                       key(row.Group, row.ID),
		ExpressionAttributeNames:  map[string]string{"#r": attrRevision},
		ExpressionAttributeValues: item{},
	}
	in.ConditionExpression = has(row.Revision, in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	return in
}

// has is the condition that a row is stored with a revision, and with 0 that
// there is none.
func has(revision uint64, names map[string]string, values item) *string {
	condition := "#r = :old"
	if revision == 0 {
		condition = "attribute_not_exists(#id)"
		names["#id"] = attrID
	} else {
		values[":old"] = number(revision)
	}
	return &condition
}

// query lists a group's rows whose id starts with prefix.
func query(table, group, prefix string, consistent bool) *sdk.QueryInput {
	condition := "#g = :g"
	in := &sdk.QueryInput{
		TableName:                 &table,
		ConsistentRead:            &consistent,
		KeyConditionExpression:    &condition,
		ExpressionAttributeNames:  map[string]string{"#g": attrGroup},
		ExpressionAttributeValues: item{":g": text(group)},
	}
	if prefix != "" { // the service takes no empty one
		condition += " AND begins_with(#id, :prefix)"
		in.ExpressionAttributeNames["#id"] = attrID
		in.ExpressionAttributeValues[":prefix"] = text(prefix)
	}
	return in
}

// row decodes an item. One that does not decode was not written here.
func row(it item) (store.Row, error) {
	r := store.Row{Group: textOf(it[attrGroup]), ID: textOf(it[attrID])}
	bad := func(name string, v any) (store.Row, error) {
		return store.Row{}, fmt.Errorf("its attribute %q (%s) was not written by vegas: mend the item, or delete it (see docs/troubleshooting.md#store-item)", name, typeOf(v))
	}
	n, _ := it[attrRevision].(*types.AttributeValueMemberN)
	if n == nil {
		return bad(attrRevision, it[attrRevision])
	}
	revision, err := strconv.ParseUint(n.Value, 10, 64)
	if err != nil || revision == 0 {
		return bad(attrRevision, n)
	}
	r.Revision = revision
	switch fields := it[attrFields].(type) {
	case *types.AttributeValueMemberM:
		r.Fields = make(map[string]string, len(fields.Value))
		for _, k := range slices.Sorted(maps.Keys(fields.Value)) {
			s, ok := fields.Value[k].(*types.AttributeValueMemberS)
			if !ok { // the next write would lose it
				return bad(attrFields+"."+k, fields.Value[k])
			}
			r.Fields[k] = s.Value
		}
	default:
		return bad(attrFields, fields)
	}
	switch body := it[attrBody].(type) {
	case nil:
	case *types.AttributeValueMemberB:
		r.Body = body.Value
	default:
		return bad(attrBody, body)
	}
	return r, nil
}

func textOf(v types.AttributeValue) string {
	s, _ := v.(*types.AttributeValueMemberS)
	if s == nil {
		return ""
	}
	return s.Value
}

// typeOf is an attribute's type as DynamoDB spells it.
func typeOf(v any) string {
	switch v.(type) {
	case nil:
		return "absent"
	case *types.AttributeValueMemberS:
		return "S"
	case *types.AttributeValueMemberN:
		return "N"
	case *types.AttributeValueMemberB:
		return "B"
	case *types.AttributeValueMemberM:
		return "M"
	}
	return "of another type"
}
