# frozen_string_literal: true

module Vegas
  VERSION = '0.1.0'
end
