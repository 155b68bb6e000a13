-- What providers say, written by hand in the manner of each: whole replies, and streams as lists of their events' data.
local transcripts = {}

transcripts.openai = {
  replies = {
    -- Mistral: thoughts as parts.
    [[{"id":"a","object":"chat.completion","model":"magistral","choices":[{"index":0,"finish_reason":"stop","message":{
      "role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm."}]},
      {"type":"text","text":"Yes."}]}}],"usage":{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14,
      "num_cached_tokens":4}}]],
    -- DeepSeek: thoughts beside the text, the cache's own figures.
    [[{"id":"b","model":"deepseek","choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant",
      "content":"","reasoning_content":"Look it up.","tool_calls":[{"index":0,"id":"call_00_x","type":"function",
      "function":{"name":"weather","arguments":"{\"city\": \"Bern\"}"}}]}}],"usage":{"prompt_tokens":20,
      "completion_tokens":30,"total_tokens":50,"prompt_cache_hit_tokens":16,"prompt_cache_miss_tokens":4,
      "completion_tokens_details":{"reasoning_tokens":21}}}]],
    -- xAI: thoughts counted beside the completion.
    [[{"id":"c","model":"grok","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant",
      "content":"4","reasoning_content":"2+2","refusal":null}}],"usage":{"prompt_tokens":12,"completion_tokens":1,
      "total_tokens":113,"completion_tokens_details":{"reasoning_tokens":100}}}]],
    -- Cohere: null for no arguments.
    [[{"id":"d","model":"command","choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant",
      "tool_calls":[{"id":"now0","type":"function","function":{"name":"now","arguments":"null"}}]}}],
      "usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}]],
  },
  streams = {
    -- Groq: usage in its own envelope, a call in one piece.
    {
      [[{"id":"e","model":"g","choices":[{"index":0,"delta":{"role":"assistant","content":null},
        "finish_reason":null}],"x_groq":{"id":"req_1"}}]],
      [[{"id":"e","choices":[{"index":0,"delta":{"reasoning":"Hm. "},"finish_reason":null}]}]],
      [[{"id":"e","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","type":"function",
        "function":{"name":"weather","arguments":"{\"city\":\"Bern\"}"}}]},"finish_reason":null}]}]],
      [[{"id":"e","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}],"x_groq":{"id":"req_1",
        "usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}}]],
      "[DONE]",
    },
    -- Calls whose fragments come mixed, and a new id with every one.
    {
      [[{"id":"f","model":"q","choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":0,"id":"c1",
        "type":"function","function":{"name":"a","arguments":""}}]}}]}]],
      [[{"id":"f","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"c2","function":{"name":"b",
        "arguments":"{\"x\""}}]}}]}]],
      [[{"id":"f","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"","function":{"arguments":"{}"}},
        {"index":1,"id":"c9","function":{"arguments":":1}"}}]}}]}]],
      [[{"id":"f","choices":[{"index":0,"delta":{"content":""},"finish_reason":"tool_calls"}]}]],
      [[{"id":"f","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}]],
      "[DONE]",
    },
  },
}

transcripts.openai_responses = {
  replies = {
    [[{"id":"resp_1","object":"response","status":"completed","model":"gpt","output":[
      {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"One."},
      {"type":"summary_text","text":"Two."}],"encrypted_content":"gAAA"},
      {"type":"web_search_call","id":"ws_1","status":"completed"},
      {"type":"message","id":"m_1","role":"assistant","content":[{"type":"output_text","text":"Found it.",
      "annotations":[]}]},
      {"type":"function_call","id":"fc_1","call_id":"call_1","name":"now","arguments":"{}"}],
      "usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":4},"output_tokens":9,
      "output_tokens_details":{"reasoning_tokens":6},"total_tokens":19}}]],
    [[{"id":"resp_2","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"model":"gpt",
      "output":[{"type":"reasoning","id":"rs_1","summary":[]}],"usage":{"input_tokens":3,"output_tokens":16,
      "output_tokens_details":{"reasoning_tokens":16},"total_tokens":19}}]],
  },
  streams = {
    -- No summary before the end, the call's arguments in one piece, nothing else in the last event.
    {
      [[{"type":"response.created","response":{"id":"resp_3","model":"gpt","status":"in_progress","output":[]}}]],
      [[{"type":"response.output_item.added","output_index":0,"item":{"type":"reasoning","id":"rs_1","summary":[],
        "encrypted_content":"gA"}}]],
      [[{"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","id":"rs_1","summary":[],
        "encrypted_content":"gAAA"}}]],
      [[{"type":"response.output_item.added","output_index":1,"item":{"type":"function_call","id":"fc_1",
        "call_id":"call_1","name":"now","arguments":""}}]],
      [[{"type":"response.function_call_arguments.done","output_index":1,"item_id":"fc_1","arguments":"{\"a\":1}"}]],
      [[{"type":"response.output_item.done","output_index":1,"item":{"type":"function_call","id":"fc_1",
        "call_id":"call_1","name":"now","arguments":"{\"a\":1}"}}]],
      [[{"type":"response.completed","response":{"id":"resp_3","model":"gpt","status":"completed","output":[],
        "usage":{"input_tokens":3,"output_tokens":6,"total_tokens":9}}}]],
    },
  },
}

transcripts.anthropic = {
  replies = {
    [[{"id":"msg_1","type":"message","role":"assistant","model":"claude","stop_reason":"tool_use",
      "stop_sequence":null,"content":[{"type":"thinking","thinking":"Add.","signature":"EqQB"},
      {"type":"text","text":"Adding."},{"type":"server_tool_use","id":"s","name":"web_search","input":{}},
      {"type":"tool_use","id":"toolu_1","name":"add","input":{"x":[],"y":{}}}],"usage":{"input_tokens":4,
      "cache_creation_input_tokens":5,"cache_read_input_tokens":16,"output_tokens":12}}]],
    [[{"id":"msg_2","type":"message","role":"assistant","model":"claude","stop_reason":"stop_sequence",
      "stop_sequence":"END","content":[],"usage":{"input_tokens":4,"output_tokens":1}}]],
  },
  streams = {
    -- The beginning twice, a block that is never ended, arguments that never come.
    {
      [[{"type":"message_start","message":{"id":"msg_3","model":"claude","content":[],"usage":{"input_tokens":9,
        "output_tokens":1}}}]],
      [[{"type":"message_start","message":{"id":"msg_3","model":"claude","content":[],"usage":{"input_tokens":9,
        "output_tokens":1}}}]],
      [[{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}]],
      [[{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm."}}]],
      [[{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQB"}}]],
      [[{"type":"content_block_stop","index":0}]],
      [[{"type":"ping"}]],
      [[{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"now",
        "input":{}}}]],
      [[{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}]],
      [[{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":9,
        "output_tokens":20}}]],
      [[{"type":"message_stop"}]],
    },
  },
}

transcripts.gemini = {
  replies = {
    [[{"candidates":[{"content":{"role":"model","parts":[{"text":"Hm.","thought":true},{"text":"Let me see."},
      {"functionCall":{"name":"now","args":{}},"thoughtSignature":"EqQB"},{"functionCall":{"name":"add",
      "args":{"x":1}}}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":8,
      "candidatesTokenCount":5,"thoughtsTokenCount":7,"totalTokenCount":20,"cachedContentTokenCount":2},
      "modelVersion":"gemini","responseId":"r1"}]],
  },
  streams = {
    -- A signature alone behind the text; the last event says nothing else.
    {
      [[{"candidates":[{"content":{"role":"model","parts":[{"text":"Hm.","thought":true}]},"index":0}],
        "usageMetadata":{"promptTokenCount":8,"totalTokenCount":8},"modelVersion":"gemini","responseId":"r2"}]],
      [[{"candidates":[{"content":{"role":"model","parts":[{"text":"Yes."}]},"index":0}],"responseId":"r2"}]],
      [[{"candidates":[{"content":{"role":"model","parts":[{"text":"","thoughtSignature":"EqQB"}]},
        "finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":2,
        "thoughtsTokenCount":3,"totalTokenCount":13},"responseId":"r2"}]],
    },
    -- A call in pieces.
    {
      [[{"candidates":[{"content":{"parts":[{"functionCall":{"name":"add","id":"f1","willContinue":true}}]}}]}]],
      [[{"candidates":[{"content":{"parts":[{"functionCall":{"partialArgs":[{"jsonPath":"$.list[0]",
        "stringValue":"a","willContinue":true}],"willContinue":true}}]}}]}]],
      [[{"candidates":[{"content":{"parts":[{"functionCall":{"partialArgs":[{"jsonPath":"$.list[0]",
        "stringValue":"b"}],"willContinue":true}}]}}]}]],
      [[{"candidates":[{"content":{"parts":[{"functionCall":{}}]},"finishReason":"STOP"}],
        "usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":4,"totalTokenCount":7}}]],
    },
  },
}

transcripts.ollama = {
  replies = {
    [[{"model":"gpt-oss","created_at":"2025-01-02T03:04:05.123Z","message":{"role":"assistant","content":"",
      "thinking":"Hm.","tool_calls":[{"function":{"name":"add","arguments":{"x":1}}},{"function":{"name":"now",
      "arguments":{}}}]},"done":true,"done_reason":"stop","prompt_eval_count":9,"eval_count":5}]],
    [[{"model":"llama","created_at":"2025-01-02T03:04:05.123Z","response":"Yes.","done":true,
      "done_reason":"length","eval_count":5}]],
  },
  streams = {
    {
      [[{"model":"q","created_at":"2025-01-02T03:04:05.1Z","message":{"role":"assistant","thinking":"Hm.",
        "content":""},"done":false}]],
      [[{"model":"q","created_at":"2025-01-02T03:04:05.2Z","message":{"role":"assistant","content":"Yes."},
        "done":false}]],
      [[{"model":"q","created_at":"2025-01-02T03:04:05.3Z","message":{"role":"assistant","content":"",
        "tool_calls":[{"function":{"name":"now","arguments":{}}}]},"done":false}]],
      [[{"model":"q","created_at":"2025-01-02T03:04:05.4Z","message":{"role":"assistant","content":""},
        "done":true,"done_reason":"stop","prompt_eval_count":9,"eval_count":5}]],
    },
  },
}

return transcripts
