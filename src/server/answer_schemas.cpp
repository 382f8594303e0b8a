// answer_schemas.cpp — what clients may rely on, written as they read it.
#include "server/answer_schemas.h"

namespace nautile::server {
namespace {

// OpenAI's chat completions, completions, embeddings and models.
constexpr const char* kOpenai = R"({
  "Usage": {"type": "object",
    "required": ["prompt_tokens", "completion_tokens", "total_tokens", "prompt_cache_hit_tokens",
                 "prompt_cache_miss_tokens", "prompt_tokens_details", "completion_tokens_details"],
    "properties": {
      "prompt_tokens": {"type": "integer", "minimum": 0},
      "completion_tokens": {"type": "integer", "minimum": 0},
      "total_tokens": {"type": "integer", "minimum": 0},
      "prompt_cache_hit_tokens": {"type": "integer", "minimum": 0},
      "prompt_cache_miss_tokens": {"type": "integer", "minimum": 0},
      "prompt_tokens_details": {"type": "object", "required": ["cached_tokens"],
        "properties": {"cached_tokens": {"type": "integer", "minimum": 0}}},
      "completion_tokens_details": {"type": "object", "required": ["reasoning_tokens"],
        "properties": {"reasoning_tokens": {"type": "integer", "minimum": 0}}}}},
  "FunctionCall": {"type": "object", "required": ["name", "arguments"],
    "properties": {"name": {"type": "string"}, "arguments": {"type": "string"}}},
  "TokenLogprob": {"type": "object", "required": ["token", "logprob", "bytes"],
    "properties": {
      "token": {"type": "string"}, "logprob": {"type": "number", "maximum": 0},
      "bytes": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}},
      "top_logprobs": {"type": "array", "maxItems": 20,
        "items": {"$ref": "#/components/schemas/TokenLogprob"}}}},
  "ChatCompletion": {"type": "object",
    "required": ["id", "object", "created", "model", "system_fingerprint", "choices", "usage"],
    "properties": {
      "id": {"type": "string"}, "object": {"const": "chat.completion"},
      "created": {"type": "integer"}, "model": {"type": "string"},
      "system_fingerprint": {"type": "string"},
      "usage": {"$ref": "#/components/schemas/Usage"},
      "choices": {"type": "array", "minItems": 1, "items": {"type": "object",
        "required": ["index", "message", "logprobs", "finish_reason"],
        "properties": {
          "index": {"type": "integer", "minimum": 0},
          "finish_reason": {"enum": ["stop", "length", "tool_calls", "function_call",
                                     "insufficient_system_resource"]},
          "logprobs": {"type": ["object", "null"], "required": ["content"], "properties": {
            "content": {"type": "array",
                        "items": {"$ref": "#/components/schemas/TokenLogprob"}}}},
          "message": {"type": "object", "required": ["role", "content", "refusal"],
            "properties": {
              "role": {"const": "assistant"}, "content": {"type": ["string", "null"]},
              "refusal": {"type": "null"}, "reasoning_content": {"type": "string"},
              "function_call": {"$ref": "#/components/schemas/FunctionCall"},
              "tool_calls": {"type": "array", "minItems": 1, "items": {"type": "object",
                "required": ["id", "type", "function"],
                "properties": {
                  "id": {"type": "string", "minLength": 1}, "type": {"const": "function"},
                  "function": {"$ref": "#/components/schemas/FunctionCall"}}}}}}}}}}},
  "Completion": {"type": "object",
    "required": ["id", "object", "created", "model", "system_fingerprint", "choices", "usage"],
    "properties": {
      "id": {"type": "string"}, "object": {"const": "text_completion"},
      "created": {"type": "integer"}, "model": {"type": "string"},
      "system_fingerprint": {"type": "string"},
      "usage": {"$ref": "#/components/schemas/Usage"},
      "choices": {"type": "array", "minItems": 1, "items": {"type": "object",
        "required": ["index", "text", "logprobs", "finish_reason"],
        "properties": {
          "index": {"type": "integer", "minimum": 0}, "text": {"type": "string"},
          "finish_reason": {"enum": ["stop", "length"]},
          "logprobs": {"type": ["object", "null"],
            "required": ["tokens", "token_logprobs", "top_logprobs", "text_offset"],
            "properties": {
              "tokens": {"type": "array", "items": {"type": "string"}},
              "token_logprobs": {"type": "array",
                                 "items": {"type": ["number", "null"], "maximum": 0}},
              "top_logprobs": {"type": ["array", "null"], "items": {"type": ["object", "null"],
                "additionalProperties": {"type": "number", "maximum": 0}}},
              "text_offset": {"type": "array",
                              "items": {"type": "integer", "minimum": 0}}}}}}}}},
  "Embeddings": {"type": "object", "required": ["object", "data", "model", "usage"],
    "properties": {
      "object": {"const": "list"}, "model": {"type": "string"},
      "usage": {"type": "object", "required": ["prompt_tokens", "total_tokens"]},
      "data": {"type": "array", "minItems": 1, "items": {"type": "object",
        "required": ["object", "index", "embedding"],
        "properties": {
          "object": {"const": "embedding"}, "index": {"type": "integer", "minimum": 0},
          "embedding": {"type": ["array", "string"], "minItems": 1,
                        "items": {"type": "number"}}}}}}},
  "Model": {"type": "object", "required": ["id", "object", "created", "owned_by"],
    "properties": {"id": {"type": "string"}, "object": {"const": "model"},
                   "created": {"type": "integer"}, "owned_by": {"type": "string"}}},
  "ModelList": {"type": "object", "required": ["object", "data"],
    "properties": {"object": {"const": "list"},
                   "data": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}}}},
  "LoraAdapters": {"type": "array", "items": {"type": "object", "required": ["id", "path", "scale"],
    "properties": {"id": {"type": "integer", "minimum": 0}, "path": {"type": "string"},
                   "scale": {"type": "number"}}}},
  "Tokens": {"type": "object", "required": ["count", "max_model_len", "tokens"],
    "properties": {
      "count": {"type": "integer", "minimum": 0}, "max_model_len": {"type": "integer"},
      "tokens": {"type": "array", "items": {"anyOf": [{"type": "integer", "minimum": 0},
        {"type": "object", "required": ["id", "piece"]}]}}}},
  "TokenText": {"type": "object", "required": ["content", "prompt"],
    "properties": {"content": {"type": "string"}, "prompt": {"type": "string"}}}
})";

// OpenAI's responses and Anthropic's messages.
constexpr const char* kItems = R"({
  "Response": {"type": "object",
    "required": ["id", "object", "created_at", "status", "model", "output", "usage"],
    "properties": {
      "id": {"type": "string"}, "object": {"const": "response"},
      "created_at": {"type": "integer"}, "model": {"type": "string"},
      "status": {"enum": ["completed", "incomplete"]},
      "usage": {"type": "object", "required": ["input_tokens", "input_tokens_details",
        "output_tokens", "output_tokens_details", "total_tokens"]},
      "output": {"type": "array", "minItems": 1, "items": {"type": "object",
        "required": ["id", "type", "status"],
        "properties": {
          "id": {"type": "string"}, "type": {"enum": ["message", "function_call", "reasoning"]},
          "status": {"enum": ["completed", "incomplete"]},
          "role": {"const": "assistant"}, "name": {"type": "string"},
          "call_id": {"type": "string"}, "arguments": {"type": "string"},
          "content": {"type": "array", "items": {"type": "object", "required": ["type", "text"],
            "properties": {"type": {"enum": ["output_text", "reasoning_text"]},
                           "text": {"type": "string"}}}}}}}}},
  "Message": {"type": "object",
    "required": ["id", "type", "role", "model", "content", "stop_reason", "stop_sequence",
                 "usage"],
    "properties": {
      "id": {"type": "string"}, "type": {"const": "message"}, "role": {"const": "assistant"},
      "model": {"type": "string"},
      "stop_reason": {"enum": ["end_turn", "max_tokens", "stop_sequence", "tool_use",
                               "model_context_window_exceeded"]},
      "stop_sequence": {"type": ["string", "null"]},
      "usage": {"type": "object", "required": ["input_tokens", "output_tokens",
        "cache_read_input_tokens", "cache_creation_input_tokens"]},
      "content": {"type": "array", "items": {"type": "object", "required": ["type"],
        "properties": {"type": {"enum": ["text", "thinking", "tool_use"]},
                       "text": {"type": "string", "minLength": 1},
                       "thinking": {"type": "string"}, "name": {"type": "string"},
                       "input": {"type": "object"}}}}}},
  "TokenCount": {"type": "object", "required": ["input_tokens"],
    "properties": {"input_tokens": {"type": "integer", "minimum": 1}}}
})";

constexpr const char* kOllama = R"({
  "OllamaChat": {"type": "object",
    "required": ["model", "created_at", "message", "done", "done_reason"],
    "properties": {
      "model": {"type": "string"}, "created_at": {"type": "string"}, "done": {"const": true},
      "done_reason": {"enum": ["stop", "length", "load"]},
      "eval_count": {"type": "integer", "minimum": 0},
      "prompt_eval_count": {"type": "integer", "minimum": 0},
      "message": {"type": "object", "required": ["role", "content"],
        "properties": {"role": {"const": "assistant"}, "content": {"type": "string"},
                       "thinking": {"type": "string"},
                       "tool_calls": {"type": "array", "minItems": 1}}}}},
  "OllamaText": {"type": "object",
    "required": ["model", "created_at", "response", "done", "done_reason"],
    "properties": {
      "model": {"type": "string"}, "created_at": {"type": "string"}, "done": {"const": true},
      "done_reason": {"enum": ["stop", "length", "load"]},
      "response": {"type": "string"}, "thinking": {"type": "string"}}},
  "OllamaModels": {"type": "object", "required": ["models"],
    "properties": {"models": {"type": "array", "items": {"type": "object",
      "required": ["name", "model", "modified_at", "size", "digest", "details"]}}}},
  "OllamaModel": {"type": "object", "required": ["details", "model_info", "capabilities"]},
  "OllamaVersion": {"type": "object", "required": ["version"],
    "properties": {"version": {"type": "string"}}}
})";

}  // namespace

Json answer_schemas() {
  Json schemas = Json::object();
  for (const char* text : {kOpenai, kItems, kOllama}) schemas.update(Json::parse(text));
  return schemas;
}

}  // namespace nautile::server
